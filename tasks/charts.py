"""The geometry of the report's charts: counts in, relative sizes and labels out; the template only draws.

Pure. Sizes are shares between 0 and 1, so that a chart fits any screen.
Not covered: axes with round numbers; every bar and cell carries its own count instead.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.figures import TENTHS, Figures
from tasks.funnel import TEMPLATE_STEPS, UNITS, StageTotals

CURVE_POINTS = 120
"""Points of a rank curve at most."""


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram; `height` is relative to the highest one."""

    label: str
    count: int
    height: float


@dataclass(frozen=True)
class Histogram:
    """Bars with a title and what is counted."""

    title: str
    unit: str
    bars: list[Bar]


@dataclass(frozen=True)
class FunnelBar:
    """A stage's input as a bar relative to the widest of its branch, divided by what became of it."""

    stage: StageTotals
    unit_in: str
    unit_out: str
    kept: float
    rejected: float
    failed: float


@dataclass(frozen=True)
class HeatRow:
    """Pairs of one chunk by tenth of the document: (count, share of the row)."""

    label: str
    cells: list[tuple[int, float]]


@dataclass(frozen=True)
class RankCurve:
    """Uses of a template over its rank, both logarithmic, as points of an SVG polyline in a 100 x 100 box."""

    points: str
    templates: int
    most: int


def histograms(figures: Figures) -> list[Histogram]:
    """All histograms of the report; lengths in doubling bins, shares in bins of two per cent."""
    scores = {str(score): figures.scores[score] for score in range(1, 6)}
    most_slots = max(figures.slots, default=0)
    slots = {str(slot): figures.slots[slot] for slot in range(1, most_slots + 1)}
    return [
        Histogram("Judge score", "judged pairs", _bars(scores)),
        Histogram("Slots per template", "pairs", _bars(slots)),
        Histogram("Instruction length", "tokens, doubling", _bars(_doubling(figures.instruction_tokens))),
        Histogram("Answer length", "tokens, doubling", _bars(_doubling(figures.answer_tokens))),
        Histogram("Excerpt share of the answer", "per cent, by two", _bars(_by_two(figures.share_percents))),
    ]


def funnel_bars(funnel: Iterable[StageTotals]) -> list[FunnelBar]:
    """One bar per stage; queries and documents are two branches, each with its own scale."""
    stages = list(funnel)
    widest = {True: 1, False: 1}
    for stage in stages:
        branch = stage.step in TEMPLATE_STEPS
        widest[branch] = max(widest[branch], stage.counts.rows_in)
    return [_funnel_bar(stage, widest[stage.step in TEMPLATE_STEPS]) for stage in stages]


def _funnel_bar(stage: StageTotals, widest: int) -> FunnelBar:
    counts = stage.counts
    return FunnelBar(
        stage,
        *UNITS[stage.step],
        kept=counts.rows_out / widest,
        rejected=sum(counts.rejected.values()) / widest,
        failed=sum(counts.failed.values()) / widest,
    )


def heat(figures: Figures) -> list[HeatRow]:
    """Places of excerpts per chunk, the local ones first and then the whole document (chunk 0)."""
    chunks = sorted({chunk for chunk, _ in figures.places}, key=lambda chunk: (chunk == 0, chunk))
    rows = []
    for chunk in chunks:
        counts = [figures.places[chunk, tenth] for tenth in range(TENTHS)]
        label = f"chunk {chunk}" if chunk else "whole document"
        rows.append(HeatRow(label, [(count, count / sum(counts)) for count in counts]))
    return rows


def rank_curve(templates: Counter[str]) -> RankCurve:
    """How unevenly templates are used."""
    uses = sorted(templates.values(), reverse=True)
    if not uses:
        return RankCurve("", 0, 0)
    steps = [round(len(uses) ** (step / CURVE_POINTS)) for step in range(CURVE_POINTS + 1)]
    across, up = math.log(max(len(uses), 2)), math.log(max(uses[0], 2))
    points = (
        f"{100 * math.log(rank) / across:.2f},{100 - 100 * math.log(uses[rank - 1]) / up:.2f}"
        for rank in sorted(set(steps))
    )
    return RankCurve(" ".join(points), len(uses), uses[0])


def _bars(counts: Mapping[str, int]) -> list[Bar]:
    highest = max(counts.values(), default=0)
    return [Bar(label, count, count / highest if highest else 0.0) for label, count in counts.items()]


def _doubling(counts: Counter[int]) -> dict[str, int]:
    """Counts in the bins 0, 1, 2-3, 4-7, ... by their lowest value, without gaps between the first and the last."""
    bins: Counter[int] = Counter()
    for value, count in counts.items():
        bins[value.bit_length()] += count
    sizes = range(min(bins, default=1), max(bins, default=0) + 1)
    return {str(1 << size >> 1): bins[size] for size in sizes}


def _by_two(percents: Counter[int]) -> dict[str, int]:
    """Counts in bins of two per cent by their lowest value (100 on its own), without gaps."""
    bins: Counter[int] = Counter()
    for percent, count in percents.items():
        bins[percent // 2 * 2] += count
    percents_found = range(min(bins, default=1), max(bins, default=0) + 1, 2)
    return {str(percent): bins[percent] for percent in percents_found}
