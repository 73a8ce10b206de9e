"""The funnel: what every stage made of its input, summed over receipts; for the card, the report and the terminal.

Pure: receipts in, totals out. Counts reconcile because those of every receipt do.
Not covered: rows of different stages are in different units (`UNITS`); only a stage's own share can be read off.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from models.settings import Settings
from tasks.records import Counts, Receipt, Tokens

Step = Literal[
    "ingest queries", "select", "mine", "index", "ingest documents", "match", "instantiate", "judge", "release"
]
"""The stages in the order of the funnel; reading is told apart by what was read."""

STEPS: tuple[Step, ...] = get_args(Step)
TEMPLATE_STEPS: tuple[Step, ...] = ("ingest queries", "select", "mine", "index")
"""The branch of the queries; the others are that of the documents."""

UNITS: dict[Step, tuple[str, str]] = {
    "ingest queries": ("rows", "queries"),
    "select": ("queries", "queries"),
    "mine": ("queries", "templates"),
    "index": ("templates", "templates"),
    "ingest documents": ("rows", "documents"),
    "match": ("documents", "matches"),
    "instantiate": ("matches", "pairs"),
    "judge": ("pairs", "verdicts"),
    "release": ("verdicts", "pairs"),
}
"""What a step counts its input in, and what its rows are."""


class StageTotals(Settings):
    """A step over all its shards: input rows by fate, rows made, tokens, seconds of work (not of waiting)."""

    step: Step
    shards: int
    counts: Counts = Counts()
    rows: int = 0
    tokens: Tokens = Tokens()
    seconds: float = 0.0

    @property
    def kept_share(self) -> float | None:
        """Input rows that came through over all input rows; None without input."""
        return self.counts.rows_out / self.counts.rows_in if self.counts.rows_in else None

    @property
    def reasons(self) -> list[tuple[str, str, int]]:
        """(kind, reason, rows) of everything that did not come through, the largest first."""
        losses = [("rejected", *item) for item in self.counts.rejected.items()]
        losses += [("failed", *item) for item in self.counts.failed.items()]
        return sorted(losses, key=lambda loss: (-loss[2], loss))


def total(step: Step, receipts: Iterable[Receipt]) -> StageTotals:
    """The sum of a step's receipts."""
    found = list(receipts)
    return StageTotals(
        step=step,
        shards=len(found),
        counts=sum((receipt.counts for receipt in found), Counts()),
        rows=sum(receipt.rows for receipt in found),
        tokens=sum((receipt.tokens for receipt in found), Tokens()),
        seconds=round(sum(receipt.seconds for receipt in found), 3),
    )


def funnel(receipts: Mapping[Step, Iterable[Receipt]]) -> tuple[StageTotals, ...]:
    """Totals of the given steps, in the funnel's order; a step without receipts has zero shards."""
    return tuple(total(step, receipts[step]) for step in STEPS if step in receipts)


def why_empty(totals: Iterable[StageTotals]) -> str:
    """One sentence on where the way to released pairs ended; for a release without rows."""
    found = {stage.step: stage for stage in totals}
    for step in STEPS[len(TEMPLATE_STEPS) :]:
        stage = found.get(step)
        if stage is None or stage.rows:
            continue
        if not stage.counts.rows_in:
            return f"Nothing reached the stage {step}."
        reasons = ", ".join(f"{reason} {rows:,}" for _, reason, rows in stage.reasons)
        return f"None of {stage.counts.rows_in:,} {UNITS[step][0]} came through the stage {step}: {reasons}."
    return "Every stage made rows."
