"""The one seam between planning and working: where batches of shards of one stage are sent.

A run of a deployment sends them to the work pool (`flows.pools`); a command runs them in its own process, one after the
other. A batch that fails does not stop the next one, unless it failed because of what the user gave.
"""

from typing import Any

from prefect.client.schemas.objects import State

from flows import interruption, pools
from flows.process import process_shards
from flows.states import own_error
from models.errors import ShardError, UsageError
from tasks import progress
from tasks.batches import cut
from tasks.plan import SHARD_STAGES, ShardStage, input_rows, next_work
from tasks.records import Scope, Shard


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
    send = _on_pool if pools.on_service() else _here
    states: list[State[Any]] = []
    while shards:
        batches = cut(scope, stage, shards)
        states += send(scope, stage, batches, len(states) + 1)
        shards = shards[sum(map(len, batches)) :]
    progress.end(stage)
    return states


def _here(scope: Scope, stage: ShardStage, batches: tuple[tuple[Shard, ...], ...], first: int) -> list[State[Any]]:
    states: list[State[Any]] = []
    for number, batch in enumerate(batches, start=first):
        interruption.check()
        states.append(process_shards(scope, stage, _names(batch), number, return_state=True))
        broken = own_error(states[-1])
        if isinstance(broken, UsageError):
            raise broken
        if broken is not None:
            progress.fail(stage, f"a batch of {len(batch)} shards", broken)
    return states


def _on_pool(scope: Scope, stage: ShardStage, batches: tuple[tuple[Shard, ...], ...], first: int) -> list[State[Any]]:
    numbered = dict(enumerate(batches, start=first))

    def done(number: int, state: State[Any]) -> None:
        progress.advance(stage, input_rows(scope, stage, numbered[number]))
        if not state.is_completed():
            progress.fail(stage, f"batch {number}", ShardError(f"{state.name}: {state.message}"))

    return pools.send(scope, stage, {number: _names(batch) for number, batch in numbered.items()}, done)


def _names(batch: tuple[Shard, ...]) -> tuple[str, ...]:
    return tuple(shard.name for shard in batch)
