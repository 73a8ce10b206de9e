"""Failed attempts: noting them, and clearing them when somebody asks for a shard again."""

from models.errors import UsageError
from tasks.plan import SHARD_STAGES, Board, ShardStage, read_shards, survey
from tasks.records import Scope, Shard
from tasks.work import record_failure
from tasks.workspace import Workspace, open_workspace


def note_failure(scope: Scope, stage: ShardStage, shard: Shard, error: BaseException) -> None:
    """Remember that a stage failed on a shard, so that the third time puts it in quarantine."""
    workspace = open_workspace(scope)
    job = workspace.job(stage, shard)
    record_failure(job, error)


def reset(scope: Scope, stage: ShardStage | None, names: tuple[str, ...], force: bool) -> tuple[str, ...]:
    """Make shards pending again.

    Args:
        scope: Store, corpus, profile, bank.
        stage: The first stage to do again; None means wherever a shard failed.
        names: Shards; none means all that failed or are in quarantine.
        force: Also drop finished results of the stage and of the stages after it.

    Returns:
        Names of the shards that are pending now because of this call.

    Raises:
        UsageError: when a name is not a shard of the corpus.
    """
    workspace = open_workspace(scope)
    shards = read_shards(workspace, "documents")
    board = survey(workspace, shards)
    if unknown := set(names) - {shard.name for shard in shards}:
        raise UsageError(
            f"corpus {scope.corpus!r} has no shard {', '.join(sorted(unknown))}; `fineinstructions status` lists them"
        )
    if force and not names:
        raise UsageError("--force drops finished results, so it needs the shards by name (--shard NAME)")
    chosen = [shard for shard in shards if shard.name in names or (not names and _has_failed(board, shard))]
    return tuple(shard.name for shard in chosen if _clear(workspace, board, stage, shard, force))


def _has_failed(board: Board, shard: Shard) -> bool:
    return any(board.states[stage][shard.name] in ("failed", "quarantined") for stage in SHARD_STAGES)


def _clear(workspace: Workspace, board: Board, stage: ShardStage | None, shard: Shard, force: bool) -> bool:
    first = SHARD_STAGES.index(stage) if stage in SHARD_STAGES else 0
    cleared = False
    for later in SHARD_STAGES[first:]:
        for name in board.failures.get((later, shard.name), ()):
            workspace.store.delete(name)
            cleared = True
        if force and board.states[later][shard.name] == "done":
            job = workspace.job(later, shard)
            workspace.store.delete(job.receipt_name)
            for name in workspace.store.find(job.folder):
                workspace.store.delete(name)
            cleared = True
    return cleared
