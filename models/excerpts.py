"""Excerpts: how a short answer quotes a document (paper 1.6, 3.3).

`<excerpt>first words<...>last words</excerpt>` stands for the shortest stretch of the document that begins and ends so;
`<excerpt>text</excerpt>` for that text itself. `expand` puts the document's own characters in their place and says
where they are in both texts, in code points.

An anchor that is not found, or found in several places, is a refusal, never a guess. What is tolerated: any whitespace
in an anchor stands for any whitespace, and punctuation at an anchor's ends may be missing from the document.

Not covered: anchors spelt otherwise than the document (other quotation marks, another Unicode normal form).
"""

import re
from dataclasses import dataclass
from typing import Literal

from models.markup import EXCERPT_TAGS
from models.refusals import Refusal
from models.sentences import Span

ExcerptReason = Literal["leaked_markup", "anchor_missing", "anchor_ambiguous"]

_INNER = rf"((?:(?!{EXCERPT_TAGS.pattern}).)*+)"
_QUOTE = re.compile(rf"<excerpt>{_INNER}(?:<\.\.\.>{_INNER})?</excerpt>", re.DOTALL)
_OUTER_PUNCTUATION = " .,:;!?…\"'“”‘’«»()[]"


@dataclass(frozen=True)
class Excerpt:
    """`answer[answer_start:answer_end] == document[document_start:document_end]`, in code points."""

    answer_start: int
    answer_end: int
    document_start: int
    document_end: int


@dataclass(frozen=True)
class Expansion:
    """A text without excerpt markup, and which of its characters are the document's."""

    text: str
    excerpts: tuple[Excerpt, ...]

    @property
    def share(self) -> float:
        """Excerpt characters over all characters of `text` (paper 3.3); 0 for an empty text."""
        quoted = sum(excerpt.answer_end - excerpt.answer_start for excerpt in self.excerpts)
        return quoted / len(self.text) if self.text else 0.0


class Haystack:
    """A window of a document in which anchors are looked up; every run of whitespace counts as one space.

    Places are offsets in `text`; `in_document` turns them into offsets of the whole document.
    """

    def __init__(self, document: str, window: Span) -> None:
        words = [(word.group(), word.start()) for word in re.compile(r"\S+").finditer(document, *window)]
        self.text = " ".join(word for word, _ in words)
        self._origin = [start + index for word, start in words for index in range(len(word) + 1)]

    def places(self, anchor: str) -> tuple[int, ...]:
        """Where the anchor begins: nowhere, once, or its first two places (which may overlap)."""
        first = self.text.find(anchor)
        if first < 0:
            return ()
        second = self.text.find(anchor, first + 1)
        return (first,) if second < 0 else (first, second)

    def end_of(self, anchor: str, position: int) -> int | None:
        """Where the first occurrence of `anchor` at or after `position` ends."""
        found = self.text.find(anchor, position)
        return None if found < 0 else found + len(anchor)

    def in_document(self, start: int, end: int) -> Span:
        """The document's span for `text[start:end]`, which begins and ends on no space."""
        return self._origin[start], self._origin[end - 1] + 1


def collapse(text: str) -> str:
    """`text` as anchors are compared: every run of whitespace one space, none at the ends."""
    return " ".join(text.split())


def expand(text: str, document: str, window: Span) -> Expansion | Refusal:
    """Replace the excerpts of `text` by what they quote from `document[window[0]:window[1]]`.

    The expansion's text has no whitespace at its ends that `text` had there; its document spans are those of the whole
    document. Refused as `leaked_markup` when tags are unbalanced, nested or out of place, as `anchor_missing` or
    `anchor_ambiguous` when an excerpt does not name exactly one place.
    """
    parts = _QUOTE.split(text.strip())
    if leaked := next(filter(None, map(EXCERPT_TAGS.search, parts[0::3])), None):
        return _refuse("leaked_markup", f"{leaked.group()} is unbalanced, nested or out of place in {text[:200]!r}")
    if len(parts) == 1:
        return Expansion(parts[0], ())
    haystack = Haystack(document, window)
    written = parts[0]
    excerpts: list[Excerpt] = []
    for first_words, last_words, plain in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        span = _locate(haystack, first_words, last_words)
        if isinstance(span, Refusal):
            return span
        quoted = document[slice(*span)]
        excerpts.append(Excerpt(len(written), len(written) + len(quoted), *span))
        written += quoted + plain
    return Expansion(written, tuple(excerpts))


def _locate(haystack: Haystack, first_words: str, last_words: str | None) -> Span | Refusal:
    """The document's span that an excerpt names; `last_words` is None for the form that holds the text itself."""
    for start_anchor in _spellings(first_words):
        places = haystack.places(start_anchor)
        if len(places) > 1:
            return _refuse("anchor_ambiguous", f"{start_anchor[:80]!r} begins in several places of the document")
        if places:
            break
    else:
        return _refuse("anchor_missing", f"{first_words[:80]!r} is not in the document")
    (start,) = places
    start_end = start + len(start_anchor)
    if last_words is None:
        return haystack.in_document(start, start_end)
    for end_anchor in _spellings(last_words):
        end = haystack.end_of(end_anchor, start_end)
        if end is not None:
            return haystack.in_document(start, end)
    return _refuse("anchor_missing", f"{last_words[:80]!r} is not in the document after {start_anchor[:80]!r}")


def _spellings(anchor: str) -> list[str]:
    """The anchor as it is looked up: as written, then without the punctuation around it; never empty."""
    written = collapse(anchor)
    return [spelling for spelling in (written, written.strip(_OUTER_PUNCTUATION)) if spelling]


def _refuse(reason: ExcerptReason, detail: str) -> Refusal:
    return Refusal(reason, detail, malformed=True)
