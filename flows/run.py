"""The whole chain, in the paper's order."""

from prefect import flow

from flows import interruption
from flows.index import build_index
from flows.ingest import ingest_corpus
from flows.mine import mine_templates
from flows.release import publish_release
from flows.states import settled
from tasks.records import Scope
from tasks.release import Release


@flow(name="run", flow_run_name="run-{scope.corpus}")
def run(scope: Scope, queries: tuple[str, ...], documents: tuple[str, ...], name: str = "") -> tuple[Release, bool]:
    """Mine, index, match, instantiate, judge and release; what is done already is not done again.

    Args:
        scope: Store, corpus and profile.
        queries: fsspec globs of query files.
        documents: fsspec globs of document files.
        name: Name of the release; empty means one from its content.

    Returns:
        The release, and whether every shard came through.
    """
    mined = settled(mine_templates(scope, queries, return_state=True))
    interruption.check()
    pinned = scope.with_bank(build_index(scope).version)
    interruption.check()
    judged = settled(ingest_corpus(pinned, documents, return_state=True))
    interruption.check()
    return publish_release(pinned, name), mined and judged
