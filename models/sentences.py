"""Sentences of a text as character spans, by rules and without a model.

Guarantees: spans are in order and do not overlap, start and end on characters that are not whitespace, and together
hold every such character of the text; offsets are code points of the text as given; time is linear in its length.
A line is its own unit (list item, heading, table row, line of code) unless a width limit visibly broke it.

Not covered: abbreviations beyond the common English ones, and sentences in one line without a mark between them.
"""

import re
from collections.abc import Iterator

Span = tuple[int, int]
"""(start, end) in code points; `end` is exclusive."""

SHORTEST_WRAPPED_LINE = 40
"""Characters a line needs before it may go on in the next one; below that it is a heading, an item or code."""

_ABBREVIATION = re.compile(
    r"mrs?|ms|dr|prof|[sj]r|[sm]t|gen|col|lt|sgt|capt|rev|hon|vs|etc|figs?|nos?|vols?|eds?|al|cf|ca|approx|inc|ltd|corp?"
    r"|co|dept|est|e\.g|i\.e|pp?|sec|ch|eq|jan|feb|mar|apr|ju[nl]|aug|sept?|oct|nov|dec|u\.[sk]|[ap]\.m|ph\.d",
    re.IGNORECASE,
)
_LINE_BREAK = re.compile(r"\n\s*+")
_CLOSED = re.compile(r"[.!?…:;|。！？][\"'”’)\]»]*\Z")
_LIST_MARK = re.compile(r"(?:[-*+•‣–—]|\(?\w{1,3}[.)])(?:\s|\Z)")
_END_MARK = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]»]*+(?=\s)|[。！？]++[」』”’）]*+")
_WORD_START = re.compile(r"[\s(\[\"'“‘]")
_NEAR = 8
"""Characters before a full stop that decide about it: no abbreviation and no list mark is longer."""


def sentences(text: str) -> list[Span]:
    """The (start, end) of each sentence, heading, list item or line of code in `text`, in order."""
    return [span for start, end in _units(text) for span in _split(text, start, end)]


def _units(text: str) -> Iterator[Span]:
    """Stretches that no sentence crosses, without the whitespace around them."""
    start = line = 0
    for found in _LINE_BREAK.finditer(text):
        if not _is_wrapped(text[line : found.start()], found.group(), text[found.end() : found.end() + 8]):
            yield from _stripped(text, start, found.start())
            start = found.end()
        line = found.end()
    yield from _stripped(text, start, len(text))


def _is_wrapped(line: str, line_break: str, following: str) -> bool:
    """Whether a sentence goes on over this line break: a long unfinished line, then a lower-case letter at column 0."""
    return (
        line_break == "\n"
        and len(line) >= SHORTEST_WRAPPED_LINE
        and not _CLOSED.search(line.rstrip())
        and following[:1].islower()
        and not _LIST_MARK.match(following)
    )


def _split(text: str, start: int, end: int) -> Iterator[Span]:
    for mark in _END_MARK.finditer(text, start, end):
        if _ends_sentence(text, start, mark):
            yield from _stripped(text, start, mark.end())
            start = mark.end()
    yield from _stripped(text, start, end)


def _ends_sentence(text: str, start: int, mark: re.Match[str]) -> bool:
    """Whether a full stop (or another final mark) ends a sentence rather than an abbreviation or a list mark."""
    following = text[mark.end() : mark.end() + 80].lstrip()[:1]
    if following.islower():
        return False
    if mark.group() != ".":
        return True
    near = text[max(start, mark.start() - _NEAR) : mark.start()]
    before = _WORD_START.split(near)[-1].strip("*_#")
    is_initial = len(before) == 1 and before.isupper()
    is_list_mark = mark.start() - start < _NEAR and _LIST_MARK.fullmatch(f"{near.strip('*_# ')}.")
    return not (is_initial or is_list_mark or _ABBREVIATION.fullmatch(before))


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without the whitespace at its ends; nothing when there is only whitespace."""
    kept = text[start:end].strip()
    if kept:
        offset = text.index(kept[0], start)
        yield offset, offset + len(kept)
