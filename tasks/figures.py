"""The figures of a release that its card and report show, gathered shard by shard so that no table need fit in memory.

What is kept grows with the number of different templates and lengths, not with the number of pairs.
Not covered: figures of what was left out, except the judge's scores, which are those of all judged pairs.
"""

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

TENTHS = 10
"""Stretches of a document in which the places of excerpts are counted."""


@dataclass
class Correlation:
    """Pearson's correlation of two quantities, from running sums."""

    pairs: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    def add(self, x: pl.Series, y: pl.Series) -> None:
        """Add observations."""
        self.pairs += len(x)
        self.x += float(x.sum())
        self.y += float(y.sum())
        self.xx += float((x * x).sum())
        self.yy += float((y * y).sum())
        self.xy += float((x * y).sum())

    @property
    def pearson(self) -> float | None:
        """From -1 to 1; None when either quantity does not vary."""
        spread_x = self.pairs * self.xx - self.x * self.x
        spread_y = self.pairs * self.yy - self.y * self.y
        if self.pairs < 2 or spread_x <= 1e-9 or spread_y <= 1e-9:
            return None
        return (self.pairs * self.xy - self.x * self.y) / math.sqrt(spread_x * spread_y)


@dataclass
class Figures:
    """Counts over the released pairs; `scores` over all judged ones."""

    scores: Counter[int] = field(default_factory=Counter)
    slots: Counter[int] = field(default_factory=Counter)
    instruction_tokens: Counter[int] = field(default_factory=Counter)
    answer_tokens: Counter[int] = field(default_factory=Counter)
    share_percents: Counter[int] = field(default_factory=Counter)
    templates: Counter[str] = field(default_factory=Counter)
    template_sources: Counter[str] = field(default_factory=Counter)
    document_sources: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    places: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(chunk, tenth of the document) to pairs; chunk 0 is the whole document."""
    correlation: Correlation = field(default_factory=Correlation)
    """Of chunk 1..K with the excerpts' position (paper 3.2: 0.99)."""

    def add(self, pairs: pl.DataFrame) -> None:
        """Count released pairs (columns of `CANDIDATES`); a document must not be split over two calls."""
        for counter, values in (
            (self.slots, pairs["slots"].list.len()),
            (self.instruction_tokens, pairs["instruction_tokens"]),
            (self.answer_tokens, pairs["answer_tokens"]),
            (self.share_percents, (pairs["excerpt_share"] * 100 + 1e-9).floor().cast(pl.Int64)),
            (self.templates, pairs["template"]),
            (self.template_sources, pairs["template_source"]),
            (self.document_sources, pairs["document_source"]),
        ):
            _tally(counter, values)
        self.documents += pairs["document_id"].n_unique()
        placed = pairs.filter(pl.col("position").is_not_null())
        tenth = (pl.col("position") * TENTHS).floor().clip(0, TENTHS - 1).cast(pl.Int64)
        for chunk, place, count in placed.group_by("chunk", tenth.alias("tenth")).len().iter_rows():
            self.places[chunk, place] += count
        local = placed.filter(pl.col("chunk") > 0)
        self.correlation.add(local["chunk"].cast(pl.Float64), local["position"])


def most_common(counter: Counter[str], number: int) -> list[tuple[str, int]]:
    """The largest counts, equal ones in alphabetical order, so that the same pairs make the same pages."""
    return heapq.nsmallest(number, counter.items(), key=lambda item: (-item[1], item[0]))


def _tally(counter: Counter[Any], values: pl.Series) -> None:
    counter.update(dict(values.rename("value").value_counts().iter_rows()))
