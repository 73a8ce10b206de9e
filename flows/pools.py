"""Batches of shards as runs of a deployment on the GPU work pool.

At most `service.width` of them exist at a time. Each belongs to one attempt of its parent: a retried parent asks for
new runs, of the shards that are still without a receipt only. They wait in the queue that their parent came from, so
that a re-run overtakes a back-fill on the GPUs too. A batch that fails does not stop the others.
Not covered: two parents that work on the same shards; they waste time and do no harm: the first receipt of a shard
counts.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.deployments import arun_deployment
from prefect.runtime import deployment, flow_run

from models.digests import digest
from models.errors import ShardError
from tasks.plan import ShardStage
from tasks.records import Scope
from tasks.settings import load_profile

DEPLOYMENT = "process-shards/gpu"
POLL = 2.0
"""Seconds between two looks at a batch that runs."""


def on_service() -> bool:
    """Whether this run belongs to a deployment, so that there are workers to send batches to."""
    return deployment.id is not None


def send(
    scope: Scope, stage: ShardStage, batches: Mapping[int, tuple[str, ...]], done: Callable[[int, State[Any]], None]
) -> list[State[Any]]:
    """Run one stage on batches of shards, and wait for all of them.

    Args:
        scope: Pinned to a bank.
        stage: What to do.
        batches: Numbers of batches and names of their shards.
        done: Told of each batch that ended: its number and its last state.

    Returns:
        The last states, in the order of the batches.
    """
    return asyncio.run(_send(scope, stage, batches, done))


async def _send(
    scope: Scope, stage: ShardStage, batches: Mapping[int, tuple[str, ...]], done: Callable[[int, State[Any]], None]
) -> list[State[Any]]:
    gate = asyncio.Semaphore(load_profile(scope.profile, scope.overrides).service.width)
    queue = _own_queue()

    async def one(number: int, batch: tuple[str, ...]) -> State[Any]:
        async with gate:
            run: FlowRun = await arun_deployment(
                DEPLOYMENT,
                flow_run_name=f"{stage}-{scope.corpus}-{number}",  # for as long as it waits
                parameters={
                    "scope": scope.model_dump(mode="json"),
                    "stage": stage,
                    "shards": list(batch),
                    "batch": number,
                },
                tags=[stage, scope.corpus],
                idempotency_key=f"{flow_run.id}/{flow_run.run_count}/{stage}/{digest(*batch)}",
                work_queue_name=queue,
                poll_interval=POLL,
            )
        if run.state is None:
            raise ShardError(f"the server has no state of run {run.name}; retry this run")
        done(number, run.state)
        return run.state

    return await asyncio.gather(*(one(number, batch) for number, batch in batches.items()))


def _own_queue() -> str | None:
    """Name of the queue that this run came from; its namesake exists on the GPU pool."""
    context = FlowRunContext.get()
    return context.flow_run.work_queue_name if context and context.flow_run else None
