"""Documents to judged pairs: whatever is pending, and only that."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artifacts import show_corpus, shown
from flows.dispatch import dispatch_stages
from flows.reading import read_in
from flows.release import publish_release
from tasks.index import current_bank
from tasks.plan import document_shards
from tasks.records import Scope


@flow(name="ingest-corpus", flow_run_name="ingest-{scope.corpus}")
def ingest_corpus(scope: Scope, documents: tuple[str, ...], release: bool = False) -> list[State[Any]] | State[Any]:
    """Take up new and changed files and bring every pending shard through match, instantiate and judge.

    Args:
        scope: Store, corpus and profile; the bank it is pinned to, or the current one, serves the whole run.
        documents: fsspec globs of document files: the whole corpus, not what is new in it.
        release: Publish a release of the corpus as it is afterwards.
    """
    pinned = scope.with_bank(current_bank(scope).version)
    with shown(pinned):
        states = read_in(pinned, "documents", documents)
        states += dispatch_stages(pinned)
    show_corpus(pinned)
    if release:
        publish_release(pinned)
    return states or Completed(message=f"0 of {len(document_shards(pinned)):,} shards were pending")
