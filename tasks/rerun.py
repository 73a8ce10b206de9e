"""Failed attempts: noting them, and clearing them when somebody asks for a shard again.

A kill while finished results are dropped leaves the earlier stages whole; the rest is then pending, or still there.
Not covered: input files and queries, whose failed reading or mining every run tries again.
"""

import logging

from models.errors import UsageError
from tasks.plan import SHARD_STAGES, Board, ShardStage, document_shards, find_shards, survey
from tasks.records import Scope, Shard
from tasks.storage import driver_errors
from tasks.work import Job, record_failure
from tasks.workspace import Workspace, open_workspace

logger = logging.getLogger(__name__)


def note_failure(scope: Scope, stage: ShardStage, shard: Shard, error: BaseException) -> None:
    """Remember that a stage failed on a shard, so that the third time puts it in quarantine.

    A store that does not take the note is told in the log: it may well be why the shard failed, and harms no other.
    """
    try:
        record_failure(open_workspace(scope).job(stage, shard), error)
    except driver_errors() as untold:
        logger.warning("%s of %s: the failed attempt is not counted, for the store says: %s", stage, shard.name, untold)


def reset(scope: Scope, stage: ShardStage | None, names: tuple[str, ...], force: bool) -> tuple[str, ...]:
    """Make shards pending again.

    Args:
        scope: Store, corpus, profile, bank.
        stage: The first stage to do again; None means wherever a shard failed.
        names: Shards; none means all that failed or are in quarantine.
        force: Also drop whatever is made in the stage and in the stages after it, finished or not.

    Returns:
        Names of the shards that are pending now because of this call.

    Raises:
        UsageError: when a name is not a shard of the corpus, or `force` is given without names.
    """
    if force and not names:
        raise UsageError("--force drops finished results, so it needs the shards by name (--shard NAME)")
    workspace = open_workspace(scope).pinned()
    shards = find_shards(scope, names) if names else document_shards(scope)
    board = survey(workspace, shards)
    chosen = shards if names else board.stuck
    return tuple(shard.name for shard in chosen if _clear(workspace, board, stage, shard, force))


def _clear(workspace: Workspace, board: Board, stage: ShardStage | None, shard: Shard, force: bool) -> bool:
    first = SHARD_STAGES.index(stage) if stage else 0
    names: list[str] = []
    # The last stage first: a kill in between leaves no result whose input is gone.
    for later in reversed(SHARD_STAGES[first:]):
        if force:
            names += _made(workspace.job(later, shard))
        elif board.states[later][shard.name] != "done":
            names += board.failures.get((later, shard.name), ())
    for name in names:
        workspace.store.delete(name)
    return bool(names)


def _made(job: Job) -> list[str]:
    """Everything a job has written, the receipt first, for it vouches for the rest."""
    names = job.store.find(job.folder)
    return sorted(names, key=lambda name: name != job.receipt_name)
