"""Input files into the store: only those that are new or changed; what is gone is not named any more."""

from typing import Any

from prefect.client.schemas.objects import State

from flows.states import report
from tasks import progress
from tasks.ingest import ingest, record_corpus, unread_files
from tasks.records import Kind, Scope


def read_in(scope: Scope, kind: Kind, urls: tuple[str, ...]) -> list[State[Any]]:
    """Read all files that the store does not have yet, then record what the corpus consists of now."""
    files = unread_files(scope, kind, urls)
    progress.begin("ingest", len(files), 0)
    states: list[State[Any]] = []
    for file in files:
        states.append(ingest(scope, kind, file, return_state=True))
        report("ingest", file.url, states[-1])
    progress.end("ingest")
    record_corpus(scope, kind, urls)
    return states
