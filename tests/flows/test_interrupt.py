"""Ctrl-C at a terminal, which every process of the command hears, and `kill`: all of them are gone soon."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tasks.records import Scope
from tasks.workspace import open_workspace
from tests.conftest import ROOT
from tests.tasks import small_store

DIE = str(ROOT / "tests" / "data" / "die.toml")


@pytest.mark.prefect
@pytest.mark.parametrize(("stop", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_an_interruption_ends_a_command_and_its_server_soon(
    tmp_path: Path, stop: Callable[[int, int], None], number: int
) -> None:
    """With code 130 and a word on how to go on; the bank lacks its index, so that each shard fails and time passes."""
    scope = Scope(store=str(tmp_path / "store"), profile=DIE)
    small_store.publish_bank(open_workspace(scope))
    documents = tmp_path / "documents.jsonl"
    documents.write_text("".join(json.dumps({"id": f"d{n}", "text": f"Document {n}."}) + "\n" for n in range(300)))
    call = ["ingest", "--documents", str(documents), "--store", scope.store, "--profile", DIE]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *call, "--set", "documents.shard_rows=1"],
        cwd=ROOT,
        env={**environment, "PREFECT_HOME": str(tmp_path / "prefect"), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test that runs in the background of a shell inherits a deaf ear for this signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith("match of documents-"):
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    stop(process.pid, number)
    interrupted = time.monotonic()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.endswith("fineinstructions: interrupted; the same command continues where it stopped\n")
    assert "Traceback" not in errors
    assert time.monotonic() - interrupted < 60
    assert [child for child in children if child.is_running()] == []
