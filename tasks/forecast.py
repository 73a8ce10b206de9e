"""What a run would do and cost, from what is pending and the rates of earlier receipts; spends nothing.

Rows are known where a stage is done and expected where it is not, with the yield seen so far. Rates are those of the
latest receipts of any key, so a changed setting does not make them unknown; they are only as good as its likeness.
Not covered: files that are not read yet, whose rows nobody knows, and the mining of queries.
"""

from dataclasses import dataclass
from typing import Any

from models.errors import UsageError
from tasks.ingest import unread_files
from tasks.plan import SHARD_STAGES, Board, ShardStage, document_shards, receipts, survey
from tasks.records import InputFile, Receipt, Scope, Shard
from tasks.workspace import Workspace, open_workspace

SAMPLE = 100
"""Receipts that an estimate reads per stage."""


@dataclass(frozen=True)
class Rate:
    """What earlier receipts of a stage say, of whatever key: per input row."""

    rows_made: float
    seconds: float
    tokens: float


@dataclass(frozen=True)
class Estimate:
    """What a stage still has to do; `seconds` and `tokens` are None when no receipt tells a rate yet."""

    stage: ShardStage
    shards: int
    rows: int
    tokens: int | None
    seconds: float | None


def rate(workspace: Workspace, board: Board, stage: ShardStage) -> Rate | None:
    """The rate of the latest receipts of a stage; None when there are none with rows."""
    past = workspace.store.read_records(list(board.past[stage][-SAMPLE:]), Receipt)
    rows_in = sum(receipt.counts.rows_in for receipt in past)
    if not rows_in:
        return None
    tokens = sum(receipt.tokens.prompt + receipt.tokens.output for receipt in past)
    return Rate(
        rows_made=sum(receipt.rows for receipt in past) / rows_in,
        seconds=sum(receipt.seconds for receipt in past) / rows_in,
        tokens=tokens / rows_in,
    )


def estimate(workspace: Workspace, board: Board) -> list[Estimate]:
    """What a run would do and cost: rows that are known where a stage is done, expected ones where it is not."""
    expected = {shard.name: float(shard.rows) for shard in board.shards}
    result = []
    for stage in SHARD_STAGES:
        found, made = rate(workspace, board, stage), receipts(workspace, board, stage)
        todo = board.in_state(stage, "pending", "failed", "waiting")
        rows = sum(expected[shard.name] for shard in todo)
        result.append(
            Estimate(
                stage=stage,
                shards=len(todo),
                rows=round(rows),
                tokens=round(rows * found.tokens) if found else None,
                seconds=rows * found.seconds if found else None,
            )
        )
        default = workspace.profile.match.templates_per_document if stage == "match" else 1
        per_row = found.rows_made if found else default
        expected = {
            name: float(made[name].rows) if name in made else rows_in * per_row for name, rows_in in expected.items()
        }
    return result


@dataclass(frozen=True)
class Forecast:
    """Files that would be read, what is read already, and the stages' work on it."""

    queries: tuple[InputFile, ...]
    documents: tuple[InputFile, ...]
    shards: tuple[Shard, ...]
    stages: tuple[Estimate, ...]

    @property
    def document_tokens(self) -> int:
        """Tokens of all documents read so far."""
        return sum(shard.tokens for shard in self.shards)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "unread_queries": [file.url for file in self.queries],
            "unread_documents": [file.url for file in self.documents],
            "shards": len(self.shards),
            "documents": sum(shard.rows for shard in self.shards),
            "document_tokens": self.document_tokens,
            "stages": [vars(stage) for stage in self.stages],
        }


def forecast(scope: Scope, queries: tuple[str, ...], documents: tuple[str, ...]) -> Forecast:
    """What a run on these inputs would do.

    Raises:
        UsageError: when a URL matches nothing usable.
    """
    workspace = open_workspace(scope)
    unread = (tuple(unread_files(scope, "queries", queries)), tuple(unread_files(scope, "documents", documents)))
    try:
        shards = document_shards(scope)
        stages = tuple(estimate(workspace, survey(workspace, shards)))
    except UsageError:
        # Nothing read, or no bank yet: there is no stage whose work could be told.
        shards, stages = (), ()
    return Forecast(*unread, shards, stages)
