"""A run in one page of markdown: what became of every row in every stage, and what it cost.

Pure. Seconds are those of work, not of waiting; they count as hours of a GPU where the stage ran on one.
"""

from collections.abc import Iterable, Sequence

from tasks.funnel import UNITS, StageTotals
from tasks.overview import Overview
from tasks.plan import SHARD_STAGES, Board, ShardStage


def summarise(seen: Overview) -> str:
    """Funnel, reconciliation and cost of a corpus as it stands."""
    totals = [stage for stage in seen.funnel if stage.shards]
    funnel = _table(("stage", "in", "out", "lost"), map(_kept, totals))
    costs = _table(("stage", "seconds", "rows/s", "output tokens/s", "prompt from cache"), map(_cost, totals))
    hours = sum(stage.seconds for stage in totals) / 3600
    shards = "; ".join(_states(seen.board, stage) for stage in SHARD_STAGES)
    return "\n\n".join([funnel, _balance(totals), f"{shards}.", costs, f"{hours:.2f} hours of work."])


def _kept(stage: StageTotals) -> list[str]:
    lost = ", ".join(f"{rows:,} {reason}" for _, reason, rows in stage.reasons) or "-"
    taken, made = UNITS[stage.step]
    return [stage.step, f"{stage.counts.rows_in:,} {taken}", f"{stage.rows:,} {made}", lost]


def _cost(stage: StageTotals) -> list[str]:
    tokens, seconds = stage.tokens, max(stage.seconds, 1e-9)
    return [
        stage.step,
        f"{stage.seconds:,.0f}",
        f"{stage.counts.rows_in / seconds:,.1f}",
        f"{tokens.output / seconds:,.0f}" if tokens.output else "-",
        f"{tokens.cached / tokens.prompt:.0%}" if tokens.prompt else "-",
    ]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(_row, (headings, ["---"] * len(headings), *rows)))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _states(board: Board, stage: ShardStage) -> str:
    tally = board.tally(stage)
    return f"{stage}: {tally['done']:,} of {len(board.shards):,} shards done, {tally['quarantined']:,} in quarantine"


def _balance(totals: Iterable[StageTotals]) -> str:
    """That no row is unaccounted for; `Counts` refuses to exist otherwise, so this states what was checked."""
    counts = [stage.counts for stage in totals]
    lost = sum(sum(one.rejected.values()) + sum(one.failed.values()) for one in counts)
    kept = sum(one.rows_out for one in counts)
    return f"Every row is accounted for: {sum(one.rows_in for one in counts):,} in = {kept:,} through + {lost:,} lost."
