"""Chosen shards again: failed ones, quarantined ones, or any by name."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.artifacts import show_corpus, shown
from flows.dispatch import dispatch_stages
from tasks.index import current_bank
from tasks.plan import ShardStage
from tasks.records import Scope
from tasks.rerun import reset


@flow(name="rerun-shards", flow_run_name="rerun-{scope.corpus}")
def rerun_shards(
    scope: Scope, shards: tuple[str, ...] = (), stages: tuple[ShardStage, ...] = (), force: bool = False
) -> list[State[Any]] | State[Any]:
    """Do shards again, from the first of the stages on; a named one that is merely pending is done too.

    Args:
        scope: Store, corpus and profile.
        shards: Names of shards; none means all that failed or are in quarantine.
        stages: The first of them is where to start; none means wherever a shard failed.
        force: Also drop and make again what is finished.
    """
    pinned = scope.with_bank(current_bank(scope).version)
    reopened = reset(pinned, stages[0] if stages else None, shards, force)
    with shown(pinned):
        states = dispatch_stages(pinned, frozenset(shards or reopened))
    show_corpus(pinned)
    return states or Completed(message="nothing was pending; finished shards are done again by force only")
