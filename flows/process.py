"""One stage on a batch of shards: the model is loaded once, a bad shard fails alone."""

from typing import Any

from prefect import Task, flow
from prefect.client.schemas.objects import State

from flows import metrics
from flows.artifacts import shown_batch
from flows.states import report
from models.errors import UsageError
from tasks.instantiate import instantiate
from tasks.judge import judge
from tasks.match import match
from tasks.plan import ShardStage, find_shards
from tasks.records import Receipt, Scope, Shard
from tasks.rerun import note_failure

TASKS: dict[ShardStage, Task[[Scope, Shard], Receipt]] = {"match": match, "instantiate": instantiate, "judge": judge}


@flow(name="process-shards", flow_run_name="{stage}-{scope.corpus}-{batch}")
def process_shards(scope: Scope, stage: ShardStage, shards: tuple[str, ...], batch: int = 1) -> list[State[Any]]:
    """Bring shards through one stage; the run fails when a shard does, after all others are done.

    An error of usage is not counted against the shard and ends the run, for it would meet every other shard too.

    Args:
        scope: Store, corpus, profile and bank version.
        stage: match, instantiate or judge.
        shards: Names of shards whose earlier stages are done.
        batch: Number of the batch within its planner's run; only a name.
    """
    found = find_shards(scope, shards)
    with shown_batch(scope, stage, found):
        return [_process(scope, stage, shard) for shard in found]


def _process(scope: Scope, stage: ShardStage, shard: Shard) -> State[Any]:
    state = TASKS[stage](scope, shard, return_state=True)
    if state.is_completed():
        metrics.count(scope.corpus, state.result())
    for error in report(stage, shard.name, state):
        if isinstance(error, UsageError):
            raise error
        metrics.count_failure(scope.corpus, stage, error)
        note_failure(scope, stage, shard, error)
    return state
