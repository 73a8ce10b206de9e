"""What an operator wants to see at a glance: every stage's totals, every shard's state, the latest failures, examples.

Read-only, from receipts and one listing; works at any moment of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.errors import ShardError
from tasks.funnel import StageTotals, Step, funnel
from tasks.plan import SHARD_STAGES, Board, document_shards, latest_failures, query_shards, receipts, survey
from tasks.records import Failure, Receipt, Scope
from tasks.released import Release
from tasks.select import selections
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
    receipts: Mapping[Step, Sequence[Receipt]]
    """Of every step, in the order of the corpus as far as it has one."""

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
    workspace = open_workspace(scope).pinned()
    board = survey(workspace, document_shards(scope))
    found = _receipts(workspace, board)
    return Overview(board, funnel(found), tuple(latest_failures(workspace, board)), found)


def _receipts(workspace: Workspace, board: Board) -> dict[Step, list[Receipt]]:
    found: dict[Step, list[Receipt]] = dict(follow_bank(workspace.store, workspace.bank.version).receipts)
    read = [workspace.ingest_job("documents", shard.name, shard.key).receipt_name for shard in board.shards]
    found["ingest documents"] = workspace.store.read_records(read, Receipt)
    for stage in SHARD_STAGES:
        found[stage] = list(receipts(workspace, board, stage).values())
    return found


def mining_funnel(scope: Scope) -> tuple[StageTotals, ...]:
    """The totals of reading, selecting and mining the queries of a corpus as it is now.

    Raises:
        UsageError: when no queries have been read.
        FileNotFoundError: when they have not been selected.
    """
    workspace, shards = open_workspace(scope), query_shards(scope)
    selected = workspace.store.read_record(workspace.select_job(shards).receipt_name, Receipt)
    read = [workspace.ingest_job("queries", shard.name, shard.key).receipt_name for shard in shards]
    written = set(workspace.store.find(workspace.corpus_folder("queries")))
    mined = [workspace.mine_job(selection).receipt_name for selection in selections(workspace, shards, selected)]
    return funnel(
        {
            "ingest queries": workspace.store.read_records(read, Receipt),
            "select": [selected],
            "mine": workspace.store.read_records([name for name in mined if name in written], Receipt),
        }
    )


def examples(scope: Scope, release: Release, number: int) -> list[tuple[dict[str, Any], str]]:
    """Pairs of a release with their documents' texts, the best judged first.

    They are of different documents and templates as far as there are enough.
    """
    workspace = open_workspace(scope)
    pairs = workspace.store.read_frame(f"{release.folder}/{release.files[0].name}")
    best = pairs.sort("judge_score", "pair_id", descending=[True, False])
    chosen = best[_varied(best, number)]
    return [(pair, _document(workspace, pair)) for pair in chosen.iter_rows(named=True)]


def _varied(pairs: pl.DataFrame, number: int) -> list[int]:
    """Places of up to `number` pairs: first those that share neither document nor template with an earlier one."""
    seen: set[tuple[str, str]] = set()
    fresh: list[int] = []
    for place, (document, template) in enumerate(pairs.select("document_id", "template_id").iter_rows()):
        of = {("document", document), ("template", template)}
        if not of & seen:
            seen |= of
            fresh.append(place)
    others = sorted(set(range(len(pairs))) - set(fresh))
    return sorted([*fresh, *others][:number])


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
