"""The report of a release: one HTML page for people, complete in itself (no network, no script).

Everything from documents, queries and models is escaped by the template engine, and the page's own security policy
forbids scripts and requests, so that text from a document can never become anything but text.
Not covered: interaction; the tables themselves lie beside the page as parquet.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from models.templates import Template
from tasks.charts import funnel_bars, heat, histograms, rank_curve
from tasks.figures import Figures, most_common
from tasks.funnel import why_empty
from tasks.released import Release

LARGEST_SHARE = 0.0009
"""Share of pairs that no template exceeds in the paper's billion pairs (paper 6.1)."""

MOST_USED = 10
"""Templates listed by name."""

AROUND = 400
"""Characters of a document shown before and after an excerpt."""

Span = tuple[int, int]


class Segment(NamedTuple):
    """A stretch of text to be shown as it is, marked, or as a gap (`text` then says how much is left out)."""

    text: str
    kind: Literal["plain", "mark", "gap"] = "plain"


@dataclass(frozen=True)
class Sample:
    """A released pair (columns of `RELEASE`) and its document's text."""

    pair: Mapping[str, Any]
    document: str

    @property
    def instruction(self) -> list[Segment]:
        """The instruction with its slots marked."""
        pair = self.pair
        return mark(pair["instruction"], slot_spans(pair["template"], pair["instruction"], pair["slots"]))

    @property
    def answer(self) -> list[Segment]:
        """The answer with its excerpts marked."""
        return mark(self.pair["answer"], [(span["answer_start"], span["answer_end"]) for span in self.pair["excerpts"]])

    @property
    def source(self) -> list[Segment]:
        """The document around its excerpts, with these marked."""
        spans = [(span["document_start"], span["document_end"]) for span in self.pair["excerpts"]]
        return mark_in_context(self.document, spans)


def render_report(release: Release, figures: Figures, samples: Sequence[Sample]) -> str:
    """The whole page."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tasks", package_path=""),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["short"] = short
    environment.filters["slots"] = mark_slots
    return environment.get_template("report.html.j2").render(
        release=release,
        figures=figures,
        samples=samples,
        funnel=funnel_bars(release.funnel),
        histograms=histograms(figures),
        heat=heat(figures),
        curve=rank_curve(figures.templates),
        most_used=most_common(figures.templates, MOST_USED),
        largest_share=LARGEST_SHARE,
        settings=json.dumps(release.settings, indent=1, ensure_ascii=False),
        why_empty=why_empty(release.funnel),
    )


def mark(text: str, spans: Iterable[Span]) -> list[Segment]:
    """`text` cut into plain and marked segments; overlapping spans become one."""
    segments: list[Segment] = []
    position = 0
    for start, end in _merged(spans):
        segments += [Segment(text[position:start]), Segment(text[start:end], "mark")]
        position = end
    segments.append(Segment(text[position:]))
    return [segment for segment in segments if segment.text]


def mark_in_context(text: str, spans: Iterable[Span], around: int = AROUND) -> list[Segment]:
    """As `mark`, but text farther than `around` characters from any span is left out and counted."""
    marked = _merged(spans)
    shown = _merged((max(start - around, 0), min(end + around, len(text))) for start, end in marked)
    segments: list[Segment] = []
    position = 0
    for start, end in shown:
        segments.append(_gap(start - position))
        inside = [(left - start, right - start) for left, right in marked if start <= left and right <= end]
        segments += mark(text[start:end], inside)
        position = end
    segments.append(_gap(len(text) - position))
    return [segment for segment in segments if segment.text]


def mark_slots(template: str) -> list[Segment]:
    """A template with its slots marked instead of tagged."""
    return [Segment(piece.text, "mark" if piece.is_slot else "plain") for piece in Template.parse(template).pieces]


def short(count: int) -> str:
    """A count in at most four characters, as far as a billion."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            scaled = count / unit
            return f"{scaled:.1f}{name}" if scaled < 10 else f"{scaled:.0f}{name}"
    return str(count)


def slot_spans(template: str, instruction: str, slots: Iterable[str]) -> list[Span]:
    """Where the slots' values are in the instruction; a value that is not found is left out."""
    spans: list[Span] = []
    position = 0
    for fixed, value in zip(Template.parse(template).fixed, slots, strict=False):
        # The instruction may have more whitespace than the template's fixed text, never less.
        start = instruction.find(value, position + len(" ".join(fixed.split())))
        if value and start >= 0:
            position = start + len(value)
            spans.append((start, position))
    return spans


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch or overlap as one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _gap(characters: int) -> Segment:
    return Segment(f"{characters:,} characters left out" if characters > 0 else "", "gap")
