"""Processes that outlive their command: started once, and never taken for others, nor others for them."""

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.processes import Background, find, stop_all
from models.errors import UsageError
from tests.conftest import free_port


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Background]:
    """A process that does nothing; stopped at the end."""
    yield Background("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], {}, free_port(), "a database")
    stop_all(tmp_path)


def test_a_process_is_started_once_and_stopped(sleeper: Background, tmp_path: Path) -> None:
    """Found by its record in between."""
    sleeper.check(tmp_path)
    assert sleeper.start(tmp_path)
    sleeper.check(tmp_path)
    assert not sleeper.start(tmp_path)
    assert stop_all(tmp_path) == ["sleeper"]
    assert find(tmp_path, "sleeper") is None


def test_what_runs_with_another_port_or_database_is_to_be_stopped_first(sleeper: Background, tmp_path: Path) -> None:
    """Rather than used as if it were what is wanted."""
    sleeper.start(tmp_path)
    for what, other in (("port", replace(sleeper, port=1)), ("database", replace(sleeper, database="another"))):
        with pytest.raises(UsageError, match=f"the sleeper of .* runs with another {what}; `down` first"):
            other.check(tmp_path)


def test_a_port_that_somebody_else_has_is_refused(sleeper: Background, tmp_path: Path) -> None:
    """Whatever answers there is not ours."""
    with socket.create_server(("127.0.0.1", sleeper.port)), pytest.raises(UsageError, match="is taken by something"):
        sleeper.check(tmp_path)
    sleeper.check(tmp_path)


def test_the_process_that_others_need_ends_last(tmp_path: Path) -> None:
    """Also where it was started last."""
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    for name in ("worker", "another", "server"):
        Background(name, sleep, {}).start(tmp_path)
    assert stop_all(tmp_path, last="server") == ["another", "worker", "server"]


def test_a_record_that_nobody_can_read_stops_nobody(sleeper: Background, tmp_path: Path) -> None:
    """The others are ended all the same."""
    (tmp_path / "broken.pid.json").write_text("")
    sleeper.start(tmp_path)
    assert find(tmp_path, "broken") is None
    assert stop_all(tmp_path) == ["sleeper"]
    assert not list(tmp_path.glob("*.pid.json"))
