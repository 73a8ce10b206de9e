"""The one seam between planning and working: where batches of shards of one stage are sent.

Here they run in this process, one batch after the other. A batch that fails does not stop the next one, unless it
failed because of what the user gave.
"""

from typing import Any

from prefect.client.schemas.objects import State

from flows.process import process_shards
from flows.states import own_error
from models.errors import UsageError
from tasks import progress
from tasks.plan import SHARD_STAGES, ShardStage, input_rows, next_work
from tasks.records import Scope, Shard

BATCH = 100
"""Shards per flow run: enough to pay for loading a model, few enough for small parameters."""


def dispatch_stages(scope: Scope, only: frozenset[str] | None = None) -> list[State[Any]]:
    """Bring all open shards, or only those named, through match, instantiate and judge; returns the batches' states."""
    states: list[State[Any]] = []
    stages = SHARD_STAGES
    while work := next_work(scope, stages, only):
        stage, shards = work
        states += dispatch(scope, stage, shards)
        stages = stages[stages.index(stage) + 1 :]
    return states


def dispatch(scope: Scope, stage: ShardStage, shards: tuple[Shard, ...]) -> list[State[Any]]:
    """Run one stage on shards, batch by batch.

    Raises:
        UsageError: what the user gave cannot work for any shard.
    """
    progress.begin(stage, len(shards), input_rows(scope, stage, shards))
    names = [shard.name for shard in shards]
    batches = [tuple(names[start : start + BATCH]) for start in range(0, len(names), BATCH)]
    states: list[State[Any]] = []
    for batch in batches:
        states.append(process_shards(scope, stage, batch, return_state=True))
        broken = own_error(states[-1])
        if isinstance(broken, UsageError):
            raise broken
        if broken is not None:
            progress.fail(stage, f"a batch of {len(batch)} shards", broken)
    progress.end(stage)
    return states
