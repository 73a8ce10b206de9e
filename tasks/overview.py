"""What an operator wants to see at a glance: every stage's totals, every shard's state, the latest failures, examples.

Read-only, from receipts and one listing; works at any moment of a run.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from models.errors import ShardError
from tasks.funnel import StageTotals, Step, funnel
from tasks.mine import mined_selections
from tasks.plan import SHARD_STAGES, Board, document_shards, query_shards, read_failures, receipts, survey
from tasks.records import Failure, Receipt, Scope
from tasks.released import Release
from tasks.trail import follow_bank
from tasks.work import read_rows
from tasks.workspace import Workspace, open_workspace


@dataclass(frozen=True)
class Overview:
    """A corpus at one moment."""

    board: Board
    funnel: tuple[StageTotals, ...]
    failures: tuple[Failure, ...]
    """The latest failure of every shard and stage that failed or is in quarantine."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "shards": {
                shard.name: {stage: self.board.states[stage][shard.name] for stage in SHARD_STAGES}
                for shard in self.board.shards
            },
            "funnel": [totals.model_dump(mode="json") for totals in self.funnel],
            "failures": [failure.model_dump(mode="json") for failure in self.failures],
        }


def overview(scope: Scope) -> Overview:
    """The state of a corpus.

    Raises:
        UsageError: when the store has no bank or no documents of this corpus yet.
    """
    workspace = open_workspace(scope)
    board = survey(workspace, document_shards(scope))
    return Overview(board, funnel(_receipts(workspace, board)), tuple(_failures(workspace, board)))


def _receipts(workspace: Workspace, board: Board) -> dict[Step, list[Receipt]]:
    found: dict[Step, list[Receipt]] = dict(follow_bank(workspace.store, workspace.bank.version).receipts)
    read = [workspace.ingest_job("documents", shard.name, shard.key).receipt_name for shard in board.shards]
    found["ingest documents"] = workspace.store.read_records(read, Receipt)
    for stage in SHARD_STAGES:
        found[stage] = list(receipts(workspace, board, stage).values())
    return found


def _failures(workspace: Workspace, board: Board) -> list[Failure]:
    return [
        read_failures(workspace, board, stage, shard.name)[-1]
        for stage in SHARD_STAGES
        for shard in board.in_state(stage, "failed", "quarantined")
    ]


def mining_funnel(scope: Scope) -> tuple[StageTotals, ...]:
    """The totals of reading, selecting and mining the queries of a corpus as it is now."""
    workspace, shards = open_workspace(scope), query_shards(scope)
    selected = workspace.select_job(shards)
    names = [workspace.ingest_job("queries", shard.name, shard.key).receipt_name for shard in shards]
    mined = [workspace.mine_job(selection).receipt_name for selection in mined_selections(scope)]
    return funnel(
        {
            "ingest queries": workspace.store.read_records(names, Receipt),
            "select": workspace.store.read_records([selected.receipt_name], Receipt),
            "mine": workspace.store.read_records(mined, Receipt),
        }
    )


def examples(scope: Scope, release: Release, number: int) -> list[tuple[dict[str, Any], str]]:
    """Pairs of a release, the best judged first, each of another document and template, with the document's text."""
    workspace = open_workspace(scope)
    pairs = workspace.store.read_frame(f"{release.folder}/{release.files[0].name}")
    best = (
        pairs.sort("judge_score", "pair_id", descending=[True, False])
        .unique("document_id", keep="first", maintain_order=True)
        .unique("template_id", keep="first", maintain_order=True)
        .head(number)
    )
    return [(pair, _document(workspace, pair)) for pair in best.iter_rows(named=True)]


def _document(workspace: Workspace, pair: dict[str, Any]) -> str:
    """The text of a pair's document, from the shards of its file."""
    row = (pl.col("document_url") == pair["document_url"]) & (pl.col("document_row") == pair["document_row"])
    for shard in document_shards(workspace.scope):
        if shard.file.url != pair["document_url"]:
            continue
        job = workspace.ingest_job("documents", shard.name, shard.key)
        for frame in read_rows(workspace.store, job.folder, workspace.store.read_record(job.receipt_name, Receipt)):
            if len(found := frame.filter(row)):
                return str(found["text"][0])
    raise ShardError(f"document {pair['document_id']} (row {pair['document_row']} of {pair['document_url']}) is gone")
