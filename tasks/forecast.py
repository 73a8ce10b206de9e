"""What a run would do and cost, from what is pending and the rates of earlier receipts; spends nothing.

Rows are known where a stage is done and expected where it is not, with the yield seen so far. Rates are those of the
finished shards or, before there are any, of receipts of other keys, so a changed setting does not make them unknown;
they are only as good as its likeness. New queries, and a bank that is missing or of another embedder, mean a new bank,
under which every shard has everything to do. Shards in quarantine are left out, as a run leaves them out.
Not covered: files that are not read yet, whose rows nobody knows, and the mining of queries.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from models.errors import UsageError
from tasks.ingest import unread_files
from tasks.plan import SHARD_STAGES, Board, ShardStage, document_shards, receipts, survey, untouched
from tasks.records import InputFile, Receipt, Scope, Shard
from tasks.workspace import Workspace, open_workspace

SAMPLE = 100
"""Receipts of other keys that an estimate reads per stage."""


@dataclass(frozen=True)
class Rate:
    """What receipts of a stage say: rows made, seconds and tokens per input row."""

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


def rate(found: Iterable[Receipt]) -> Rate | None:
    """The rate of some receipts of one stage; None when they have no input rows."""
    past = list(found)
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
    quarantined: set[str] = set()
    result = []
    for stage in SHARD_STAGES:
        made = receipts(workspace, board, stage)
        found = rate(made.values()) or rate(workspace.store.read_records(list(board.past[stage][-SAMPLE:]), Receipt))
        quarantined |= {shard.name for shard in board.in_state(stage, "quarantined")}
        left = [shard.name for shard in board.in_state(stage, "pending", "failed", "waiting")]
        result.append(_estimate(stage, [expected[name] for name in left if name not in quarantined], found))
        default = workspace.profile.match.templates_per_document if stage == "match" else 1
        per_row = found.rows_made if found else default
        expected = {
            name: float(made[name].rows) if name in made else rows_in * per_row for name, rows_in in expected.items()
        }
    return result


def _estimate(stage: ShardStage, rows_of_shards: list[float], found: Rate | None) -> Estimate:
    rows = sum(rows_of_shards)
    return Estimate(
        stage=stage,
        shards=len(rows_of_shards),
        rows=round(rows),
        tokens=round(rows * found.tokens) if found else None,
        seconds=rows * found.seconds if found else None,
    )


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
    except UsageError:
        # Nothing of this corpus was read yet: there is no shard whose work could be told.
        return Forecast(*unread, (), ())
    board = _board(workspace, shards, new_bank=bool(unread[0]))
    return Forecast(*unread, shards, tuple(estimate(workspace, board)))


def _board(workspace: Workspace, shards: tuple[Shard, ...], new_bank: bool) -> Board:
    if not new_bank:
        with suppress(UsageError):
            return survey(workspace, shards)
    return untouched(workspace, shards)
