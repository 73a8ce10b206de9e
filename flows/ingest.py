"""Documents to judged pairs: whatever is pending, and only that."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.dispatch import dispatch_stages
from flows.reading import read_in
from tasks.index import current_bank
from tasks.records import Scope


@flow(name="ingest-corpus", flow_run_name="ingest-{scope.corpus}")
def ingest_corpus(scope: Scope, documents: tuple[str, ...]) -> list[State[Any]]:
    """Take up new and changed files and bring every pending shard through match, instantiate and judge.

    Args:
        scope: Store, corpus and profile; the bank it is pinned to, or the current one, serves the whole run.
        documents: fsspec globs of document files.
    """
    pinned = scope.with_bank(current_bank(scope).version)
    states = read_in(pinned, "documents", documents)
    return states + dispatch_stages(pinned)
