"""A release being put together: candidates wait in a scratch folder, shard by shard, until all shards are known.

What needs all shards together happens here: duplicates are dropped, then the token budget is spent in the order of the
corpus (paper 4.2). Memory holds one shard and, over all, the rejected rows and the texts that duplicates are sought in.
Nothing is published; a process that dies leaves only its temporary folder.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from models.digests import digest
from tasks.assemble import refuse
from tasks.budget import spend
from tasks.figures import Figures
from tasks.records import Counts
from tasks.tables import REJECTED, RELEASE

SAMPLES = 20
"""Pairs shown in the report."""

DROPPED = pl.Schema({"pair_id": pl.String(), "reason": pl.String(), "detail": pl.String()})
"""Candidates that are left out as duplicates; `detail` is the id of the pair that is kept."""


@dataclass
class Draft:
    """The candidates of the shards added so far; after `settle`, what is released and what is not."""

    scratch: Path
    shards: int = 0
    judged: int = 0
    documents: int = 0
    document_tokens: int = 0
    rows: int = 0
    tokens: int = 0
    figures: Figures = field(default_factory=Figures)
    samples: list[tuple[str, int, str]] = field(default_factory=list)
    """(lot, number of the shard, pair id) of the pairs drawn for the report."""
    refused: list[pl.DataFrame] = field(default_factory=list)

    def add(self, documents: pl.DataFrame, judged: pl.DataFrame, candidates: pl.DataFrame, low: pl.DataFrame) -> None:
        """Take up a shard.

        Args:
            documents: `document_id` and `token_count` of all its documents, in order.
            judged: All its judged pairs.
            candidates: Those that passed the judge (`CANDIDATES`).
            low: The others (`REJECTED`).
        """
        documents.select("document_id", "token_count").write_parquet(self._path("documents", self.shards))
        candidates.write_parquet(self._path("pairs", self.shards))
        self.figures.scores.update(judged["judge_score"])
        self.refused.append(low)
        self.shards += 1
        self.judged += len(judged)
        self.documents += len(documents)
        self.document_tokens += int(documents["token_count"].sum())

    def pairs(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        """Some columns of the candidates, after `settle` of the released pairs, shard by shard."""
        for number in range(self.shards):
            yield pl.read_parquet(self._path("pairs", number), columns=columns)

    def settle(self, dropped: pl.DataFrame, seed: int) -> None:
        """Leave out the `dropped` candidates (`DROPPED`) and those over the budget; count what remains."""
        unused = 0
        for number in range(self.shards):
            path = self._path("pairs", number)
            candidates = pl.read_parquet(path)
            duplicates = candidates.join(dropped, on="pair_id", maintain_order="left")
            distinct = candidates.join(dropped, on="pair_id", how="anti", maintain_order="left")
            spending = spend(pl.read_parquet(self._path("documents", number)), distinct, seed, unused)
            unused = spending.unused
            over = pl.format("{} tokens, more than were left for its document", "token_count")
            self.refused += [
                refuse(duplicates, pl.col("reason"), pl.col("detail")),
                refuse(spending.over_budget, pl.lit("over_budget"), over),
            ]
            spending.kept.write_parquet(path)
            self._count(spending.kept, number, seed)

    @property
    def rejected(self) -> pl.DataFrame:
        """Every judged pair that is not released, with its reason."""
        return pl.concat(self.refused) if self.refused else REJECTED.to_frame()

    @property
    def counts(self) -> Counts:
        """All judged pairs by fate; refuses to exist when one is lost."""
        reasons = self.rejected.group_by("reason").len().sort("reason")
        return Counts(rows_in=self.judged, rows_out=self.rows, rejected=dict(reasons.iter_rows()))

    def files(self, rows: int) -> Iterator[pl.DataFrame]:
        """The released pairs in frames of `rows` rows, the last one smaller; one empty frame when there are none."""
        waiting = RELEASE.to_frame()
        for pairs in self.pairs(list(RELEASE)):
            waiting = pl.concat([waiting, pairs])
            while len(waiting) > rows:
                yield waiting[:rows]
                waiting = waiting[rows:]
        yield waiting

    def sampled(self) -> dict[int, pl.DataFrame]:
        """The pairs drawn for the report, by number of their shard."""
        numbers = sorted({number for _, number, _ in self.samples})
        wanted = [pair_id for _, _, pair_id in self.samples]
        frames = {number: pl.read_parquet(self._path("pairs", number)) for number in numbers}
        return {number: frame.filter(pl.col("pair_id").is_in(wanted)) for number, frame in frames.items()}

    def _count(self, kept: pl.DataFrame, number: int, seed: int) -> None:
        self.rows += len(kept)
        self.tokens += int(kept["token_count"].sum())
        self.figures.add(kept)
        lots = [(digest(seed, "sample", pair_id), number, pair_id) for pair_id in kept["pair_id"]]
        self.samples = heapq.nsmallest(SAMPLES, [*self.samples, *lots])

    def _path(self, table: str, number: int) -> Path:
        return self.scratch / f"{table}-{number:06d}.parquet"
