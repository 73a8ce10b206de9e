"""The one seam between planning and working: where batches of shards of one stage are sent.

Here they run in this process, one batch after the other. A batch that fails does not stop the next one.
"""

from typing import Any

from prefect.client.schemas.objects import State

from flows.process import process_shards
from tasks import progress
from tasks.plan import SHARD_STAGES, ShardStage, input_rows, open_shards
from tasks.records import Scope, Shard

BATCH = 100
"""Shards per flow run: enough to pay for loading a model, few enough for small parameters."""


def dispatch_stages(scope: Scope, only: frozenset[str] | None = None) -> list[State[Any]]:
    """Bring all open shards, or only those named, through match, instantiate and judge; returns the batches' states."""
    states: list[State[Any]] = []
    for stage in SHARD_STAGES:
        shards = tuple(shard for shard in open_shards(scope, stage) if only is None or shard.name in only)
        states += dispatch(scope, stage, shards)
    return states


def dispatch(scope: Scope, stage: ShardStage, shards: tuple[Shard, ...]) -> list[State[Any]]:
    """Run one stage on shards, batch by batch."""
    if not shards:
        return []
    progress.begin(stage, len(shards), input_rows(scope, stage, shards))
    names = [shard.name for shard in shards]
    batches = [tuple(names[start : start + BATCH]) for start in range(0, len(names), BATCH)]
    states = [process_shards(scope, stage, batch, return_state=True) for batch in batches]
    progress.end(stage)
    return states
