"""Figures and charts: what is gathered shard by shard is what all pairs together say."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.assemble import CANDIDATES
from tasks.charts import funnel_bars, heat, histograms, rank_curve
from tasks.figures import Correlation, Figures
from tasks.funnel import STEPS, StageTotals, funnel, total, why_empty
from tasks.records import Counts, Receipt, Tokens

numbers = st.lists(st.tuples(st.integers(1, 5), st.floats(0, 1)), min_size=2, max_size=40)


def candidates(rows: list[tuple[int, float]]) -> pl.DataFrame:
    """Pairs of which only chunk and position matter."""
    frame = pl.DataFrame(
        {
            "pair_id": [str(number) for number in range(len(rows))],
            "document_id": [str(number) for number in range(len(rows))],
            "template": [f"<fi>x</fi> {number % 3}" for number in range(len(rows))],
            "chunk": [chunk for chunk, _ in rows],
            "position": [position for _, position in rows],
            "slots": [["a"] * (1 + number % 2) for number in range(len(rows))],
            "excerpt_share": [0.8 + 0.2 * position for _, position in rows],
            "instruction_tokens": [chunk for chunk, _ in rows],
            "answer_tokens": [16 * chunk for chunk, _ in rows],
            "template_source": ["q"] * len(rows),
            "document_source": ["d"] * len(rows),
        }
    )
    missing = {name: pl.lit(None, dtype) for name, dtype in CANDIDATES.items() if name not in frame.columns}
    return frame.with_columns(**missing).select(CANDIDATES.names())


@given(numbers, st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_shard_by_shard_equals_all_at_once(rows: list[tuple[int, float]], cut: int) -> None:
    frame = candidates(rows)
    whole, pieces = Figures(), Figures()
    whole.add(frame)
    pieces.add(frame[:cut])
    pieces.add(frame[cut:])
    assert pieces.correlation.pearson == pytest.approx(whole.correlation.pearson)
    pieces.correlation = whole.correlation
    assert pieces == whole


@given(numbers)
@settings(max_examples=40, deadline=None)
def test_the_correlation_is_pearsons(rows: list[tuple[int, float]]) -> None:
    x, y = (pl.Series(values, dtype=pl.Float64) for values in zip(*rows, strict=True))
    correlation = Correlation()
    correlation.add(x, y)
    if correlation.pearson is not None:
        assert correlation.pearson == pytest.approx(pl.select(pl.corr(x, y)).item(), abs=1e-4)


def test_nothing_correlates_with_a_constant() -> None:
    correlation = Correlation()
    correlation.add(pl.Series([1.0, 1.0]), pl.Series([0.1, 0.9]))
    assert correlation.pearson is None


@given(numbers)
@settings(max_examples=40, deadline=None)
def test_every_pair_is_in_every_chart(rows: list[tuple[int, float]]) -> None:
    figures = Figures()
    figures.add(candidates(rows))
    for histogram in histograms(figures)[1:]:
        assert sum(bar.count for bar in histogram.bars) == len(rows)
        assert max(bar.height for bar in histogram.bars) == 1
    assert sum(count for row in heat(figures) for count, _ in row.cells) == len(rows)
    assert sum(figures.templates.values()) == len(rows)


def test_lengths_are_in_doubling_bins_without_gaps() -> None:
    figures = Figures()
    figures.add(candidates([(1, 0.5), (5, 0.5)]))
    bins = {histogram.title: [bar.label for bar in histogram.bars] for histogram in histograms(figures)}
    assert bins["Answer length"] == ["16", "32", "64"]
    assert bins["Excerpt share of the answer"] == ["90"]


def test_charts_of_nothing_are_empty() -> None:
    assert [histogram.bars for histogram in histograms(Figures())[1:]] == [[], [], [], []]
    assert heat(Figures()) == []
    assert rank_curve(Figures().templates).templates == 0


def test_a_rank_curve_goes_from_the_most_used_to_the_last() -> None:
    figures = Figures()
    figures.templates.update({str(number): 1000 // number for number in range(1, 1001)})
    curve = rank_curve(figures.templates)
    points = [tuple(map(float, point.split(","))) for point in curve.points.split()]
    assert (points[0], points[-1]) == ((0.0, 0.0), (100.0, 100.0))
    assert points == sorted(points)


def receipt(rows_in: int, rejected: dict[str, int], seconds: float = 1.0) -> Receipt:
    out = rows_in - sum(rejected.values())
    counts = Counts(rows_in=rows_in, rows_out=out, rejected=rejected)
    return Receipt(
        stage="match", shard="s", key="k", counts=counts, rows=2 * out, tokens=Tokens(prompt=3), seconds=seconds
    )


def test_totals_are_sums_that_reconcile() -> None:
    totals = total("match", [receipt(10, {"no_match": 4}), receipt(5, {"no_match": 1, "other": 1})])
    assert totals.counts == Counts(rows_in=15, rows_out=9, rejected={"no_match": 5, "other": 1})
    assert (totals.shards, totals.rows, totals.tokens.prompt, totals.seconds) == (2, 18, 6, 2.0)
    assert totals.reasons == [("rejected", "no_match", 5), ("rejected", "other", 1)]
    assert totals.kept_share == 0.6


def test_the_funnel_is_in_order_and_shares_of_nothing_are_none() -> None:
    stages = funnel({"judge": [], "select": [receipt(1, {})]})
    assert [stage.step for stage in stages] == ["select", "judge"]
    assert stages[1].kept_share is None
    assert [step for step in STEPS if step in ("select", "judge")] == ["select", "judge"]


def test_bars_of_a_branch_share_a_scale() -> None:
    stages = [
        StageTotals(step="select", shards=1, counts=Counts(rows_in=100, rows_out=100)),
        StageTotals(step="match", shards=1, counts=Counts(rows_in=10, rows_out=4, rejected={"no_match": 6})),
        StageTotals(step="judge", shards=1, counts=Counts(rows_in=5, rows_out=5)),
    ]
    assert [(bar.kept, bar.rejected) for bar in funnel_bars(stages)] == [(1.0, 0), (0.4, 0.6), (0.5, 0)]


def test_why_empty_names_the_first_stage_that_let_nothing_through() -> None:
    stages = [total("match", [receipt(3, {"no_match": 3})]), total("judge", [])]
    assert why_empty(stages) == "None of 3 documents came through the stage match: no_match 3."
