"""What an operator sees is no reason for work to fail."""

import logging

import httpx
import pytest

from flows import artifacts
from flows.artifacts import ProgressArtifacts
from tests.flows.conftest import Library


def test_a_server_that_takes_no_artifacts_harms_no_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, library: Library
) -> None:
    """Each time the log says so; progress of a stage that has none is not asked for."""

    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("All connection attempts failed")

    for name in ("create_progress_artifact", "create_table_artifact"):
        monkeypatch.setattr(artifacts, name, refuse)
    monkeypatch.setattr(artifacts, "on_service", lambda: True)
    library.read()
    with caplog.at_level(logging.WARNING, "flows"):
        progress = ProgressArtifacts("main")
        progress.begin("match", 3, 3)
        progress.advance("match", 1)
        progress.end("match")
        artifacts.show_corpus(library.workspace.scope)
    assert [record.message for record in caplog.records] == [
        "The server does not take an artifact, so that the UI shows less: All connection attempts failed"
    ] * 2
