"""Judged pairs to a data set with card and report (paper 3.4, 4.2)."""

from prefect import flow

from tasks import progress
from tasks.index import current_bank
from tasks.plan import document_shards
from tasks.records import Scope
from tasks.release import Release, release


@flow(name="publish-release", flow_run_name="release-{scope.corpus}")
def publish_release(scope: Scope, name: str = "") -> Release:
    """Assemble a release of the corpus as it is now; the same one is found, not made again.

    Args:
        scope: Store, corpus and profile.
        name: Name of the release; empty means the corpus and the first digits of the release's key.
    """
    pinned = scope.with_bank(current_bank(scope).version)
    shards = document_shards(pinned)
    progress.begin("release", 1, 0)
    made = release(pinned, shards, name)
    progress.end("release")
    return made
