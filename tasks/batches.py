"""Pending shards in batches that take about as long as is wanted, by the seconds that finished shards took.

A batch is one flow run on a work pool: it pays once for its start and its model, so it should take minutes; while it
runs nobody else can take its shards, so it should not take hours.
"""

from statistics import fmean

from tasks.plan import ShardStage, past_receipts
from tasks.records import Scope, Shard
from tasks.workspace import open_workspace

SAMPLE = 100
"""Receipts that tell the seconds of a shard: the last ones by name, whatever their age."""


def cut(scope: Scope, stage: ShardStage, shards: tuple[Shard, ...]) -> tuple[tuple[Shard, ...], ...]:
    """The shards in order, in batches of equal size (the last one may be smaller).

    The size is that of `service.batch_seconds` at the mean seconds of earlier receipts of the stage, of any settings.
    Without receipts it is `service.first_batch_shards`, and the first `service.width` batches are all: the caller comes
    again for the other shards, when these have shown how long they take.
    """
    workspace = open_workspace(scope)
    settings = workspace.profile.service
    seconds = [receipt.seconds for receipt in past_receipts(scope, stage, SAMPLE)]
    size = round(settings.batch_seconds / max(fmean(seconds), 1e-3)) if seconds else settings.first_batch_shards
    size = min(max(size, 1), settings.most_batch_shards)
    batches = tuple(shards[start : start + size] for start in range(0, len(shards), size))
    return batches if seconds else batches[: settings.width]
