"""Which excerpts of a document a model may be offered, each written so that `expand` finds exactly it (paper 1.6).

An excerpt runs from the beginning of a sentence (behind the mark of a list item) to the end of the same or one of the
next sentences. Its start anchor is the shortest beginning of 3 to 9 words that occurs once in the window, its end
anchor the last 4 words; a sentence without room for both is written in full. Each is looked up the way
`models.excerpts.expand` does and offered only when what is found is what was meant; excerpts with markup, and anchors
that JSON would have to escape, are left out.

Not covered: excerpts that begin or end inside a sentence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from models.excerpts import Haystack, collapse
from models.markup import MARKUP
from models.sentences import Span, sentences

FEWEST_START_WORDS = 3
MOST_START_WORDS = 9
END_WORDS = 4

FOLLOWING_SENTENCES = 4
"""How many sentences beyond its first one an excerpt may take in."""

LONGEST_IN_FULL = 200
"""Characters up to which a sentence without room for two anchors is written in full."""

MOST_SENTENCES = 150
"""Sentences of a window in which excerpts are offered, those in its middle; bounds the size of the grammar."""

_NEEDS_ESCAPE = re.compile(r'["\\\x00-\x1f\x7f]')
LIST_MARK = re.compile(r"(?:[-*+•‣–]|\(?(?:\d{1,3}|[a-z])[.)]) ")


@dataclass(frozen=True)
class Offer:
    """One excerpt: its first and last sentence, its place in the whole document, and how it is written.

    `end` is None when `start` is the excerpt in full. Sentences are numbered within the part of the window on offer.
    """

    first: int
    last: int
    span: Span
    start: str
    end: str | None

    @property
    def characters(self) -> int:
        """Its length in the document."""
        return self.span[1] - self.span[0]

    @property
    def written(self) -> str:
        """The markup that names it."""
        return f"<excerpt>{self.start if self.end is None else f'{self.start}<...>{self.end}'}</excerpt>"


@lru_cache(maxsize=8)
def offers(document: str, window: Span) -> tuple[Offer, ...]:
    """All excerpts on offer in `document[window[0]:window[1]]`, by first and then by last sentence.

    Remembered for the last few windows, since the requests of one document come together.
    """
    haystack = Haystack(document, window)
    places = _sentence_places(haystack, document[slice(*window)])
    surplus = max(0, len(places) - MOST_SENTENCES)
    places = places[surplus // 2 : len(places) - (surplus + 1) // 2]
    markup = [found.span() for found in MARKUP.finditer(document, *window)]
    return tuple(
        Offer(first, last, (start, end), *anchors)
        for first in range(len(places))
        for last, anchors in _anchored(haystack, places, first)
        for start, end in [haystack.in_document(places[first][0], places[last][1])]
        if not any(start < markup_end and markup_start < end for markup_start, markup_end in markup)
    )


def _sentence_places(haystack: Haystack, text: str) -> list[Span]:
    """Where the sentences of the window's `text` stand in the haystack, without the marks of list items."""
    places: list[Span] = []
    position = 0
    for start, end in sentences(text):
        sentence = collapse(text[start:end])
        position = haystack.text.index(sentence, position)
        mark = LIST_MARK.match(sentence)
        places.append((position + (mark.end() if mark else 0), position + len(sentence)))
        position += len(sentence)
    return places


def _anchored(haystack: Haystack, places: list[Span], first: int) -> Iterator[tuple[int, tuple[str, str | None]]]:
    """(last sentence, anchors) of every excerpt that begins with sentence `first` and can be named without doubt."""
    start, sentence_end = places[first]
    start_anchor = _start_anchor(haystack, haystack.text[start:sentence_end])
    for last in range(first, min(first + FOLLOWING_SENTENCES + 1, len(places))):
        last_start, end = places[last]
        end_anchor = " ".join(haystack.text[last_start:end].split(" ")[-END_WORDS:])
        if (
            start_anchor
            and not _NEEDS_ESCAPE.search(end_anchor)
            and haystack.end_of(end_anchor, start + len(start_anchor)) == end
        ):
            yield last, (start_anchor, end_anchor)
        elif last == first and end - start <= LONGEST_IN_FULL and _names_one(haystack, haystack.text[start:end]):
            yield last, (haystack.text[start:end], None)


def _start_anchor(haystack: Haystack, sentence: str) -> str | None:
    words = sentence.split(" ")
    beginnings = (" ".join(words[:count]) for count in range(FEWEST_START_WORDS, min(MOST_START_WORDS, len(words)) + 1))
    return next((anchor for anchor in beginnings if _names_one(haystack, anchor)), None)


def _names_one(haystack: Haystack, anchor: str) -> bool:
    """Whether the anchor can be written plainly in JSON and occurs once."""
    return not _NEEDS_ESCAPE.search(anchor) and len(haystack.places(anchor)) == 1
