"""Which part of a long document a model is shown: whole sentences around a place, within a token budget.

Guarantees: never over the budget by the given token offsets, never empty for a document with tokens, and in time that
grows with the budget, not with the document. A sentence that alone exceeds the budget is cut between tokens.

Not covered: the tokens of the prompt around the window, and that a tokenizer may count a part a token or two higher
than it counted it within the whole.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from models.sentences import Span, sentences


def choose_window(document: str, offsets: Sequence[Span], budget: int, centre: float) -> Span:
    """The (start, end) characters of `document` to show; all of it when that is within the budget.

    `offsets` are the (start, end) characters of its tokens, `budget` is in tokens, 1 or more. `centre` says where to
    look, from 0 to 1: k / (K + 1) for chunk k of K (paper 1.4), 0 for a match of the document as a whole.
    """
    if len(offsets) <= budget:
        return 0, len(document)
    token = min(int(centre * len(offsets)), len(offsets) - 1)
    place = offsets[token][0]
    spans = _sentences_near(document, offsets, token, budget)
    first = last = max(0, bisect_right(spans, place, key=_start) - 1)
    if not spans or tokens_in(offsets, spans[first]) > budget:
        return _cut(offsets, token, budget)
    while True:
        grown = [
            (low, high)
            for low, high in ((first - 1, last), (first, last + 1))
            if low >= 0 and high < len(spans) and tokens_in(offsets, (spans[low][0], spans[high][1])) <= budget
        ]
        if not grown:
            return spans[first][0], spans[last][1]
        first, last = min(grown, key=lambda ends: abs(spans[ends[0]][0] + spans[ends[1]][1] - 2 * place))


def tokens_in(offsets: Sequence[Span], window: Span) -> int:
    """How many tokens have a character in the window."""
    start, end = window
    return max(0, bisect_left(offsets, end, key=_start) - bisect_right(offsets, start, key=_end))


def _sentences_near(document: str, offsets: Sequence[Span], token: int, budget: int) -> list[Span]:
    """The sentences within a budget's tokens of `token`, but for those that this limit may have cut."""
    low, high = max(0, token - budget), min(len(offsets), token + budget)
    start = offsets[low][0] if low > 0 else 0
    end = offsets[high - 1][1] if high < len(offsets) else len(document)
    spans = [(start + first, start + last) for first, last in sentences(document[start:end])]
    return spans[low > 0 : len(spans) - (high < len(offsets))]


def _cut(offsets: Sequence[Span], token: int, budget: int) -> Span:
    """As many tokens around `token` as the budget allows; fewer where several tokens share a character."""
    low = min(max(0, token - budget // 2), len(offsets) - budget)
    high = low + budget
    while high - low > 1 and tokens_in(offsets, (offsets[low][0], offsets[high - 1][1])) > budget:
        high -= 1
    return offsets[low][0], offsets[high - 1][1]


def _start(span: Span) -> int:
    return span[0]


def _end(span: Span) -> int:
    return span[1]
