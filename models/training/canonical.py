"""Labels as production's models would write them: exactly a text that the grammars accept.

People and large models quote from the middle of a sentence, put words between excerpts, quote in another order than the
document's. The grammars offer whole sentences in the order of the document, behind a short lead. So a label's excerpt
becomes the smallest excerpt on offer that contains it, or several where it is longer than any; a few connecting words
between excerpts are dropped, and so is a lead that is too long or that a widened excerpt no longer continues. What
cannot be said so is refused with a reason, never bent further.

Not covered: whether the grammar really accepts the result; `models.training.examples` asks it.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from models.anchors import LIST_MARK, Offer, offers
from models.excerpts import Expansion, collapse, expand
from models.grammars.instantiator import INSTRUCTION_KEYS, LEADS, MOST_EXCERPTS
from models.refusals import Refusal
from models.sentences import Span
from models.templates import Template, read_slots

CanonicalReason = Literal["no_excerpt", "no_offer", "too_many_excerpts", "text_between_excerpts"]

MOST_BETWEEN = 40
"""Characters of text behind an excerpt that may be dropped: connecting words, seldom more."""

_LEAD_END = re.compile(r"[.:!?]\Z")
_PLAIN_QUOTES = str.maketrans({'"': "'", "“": "'", "”": "'"})


def canonical_template(template: str, description: str) -> str:
    """A genericizer's completion; double quotes of the description become single ones, its whitespace single spaces."""
    said = collapse(description.translate(_PLAIN_QUOTES))
    return json.dumps({"template": template, "compatible_document_description": said}, ensure_ascii=False)


def canonical_judgement(score: int, feedback: str, score_first: bool) -> str:
    """A judge's completion."""
    parts = (f"<feedback>{collapse(feedback)}</feedback>", f"<score>{score}</score>")
    return "\n".join(reversed(parts) if score_first else parts)


def canonical_pairs(
    template: str, instruction: str, answer: str, document: str, layout: str
) -> Iterator[str | Refusal]:
    """An instantiator's completions for a document shown whole, the most faithful first, or why there is none.

    `instruction` and `answer` may hold excerpt markup, anchored or in full. Raises `TemplateError` for no template.
    """
    window = (0, len(document))
    asked, answered = expand(instruction, document, window), expand(answer, document, window)
    if isinstance(asked, Refusal) or isinstance(answered, Refusal):
        yield from (one for one in (asked, answered) if isinstance(one, Refusal))
        return
    filled = _filled(template, asked.text)
    if filled is None:
        yield Refusal("instruction_not_from_template", f"{asked.text[:200]!r} is not {template[:200]!r} filled in")
        return
    chosen = _chosen(answered, document, offers(document, window))
    if isinstance(chosen, Refusal):
        yield chosen
        return
    written = " ".join(offer.written for offer in chosen)
    lead = _lead(answered, chosen[0])
    for start in ([f"{lead} "] if lead else []) + [""]:
        yield json.dumps({INSTRUCTION_KEYS[layout]: filled, "answer": start + written}, ensure_ascii=False)


def _filled(template: str, instruction: str) -> str | None:
    """The template with the instruction's values, its own whitespace kept."""
    values = read_slots(template, instruction)
    if values is None:
        return None
    first, *others = Template.parse(template).fixed
    return first + "".join(collapse(value) + fixed for value, fixed in zip(values, others, strict=True))


def _chosen(answer: Expansion, document: str, offered: tuple[Offer, ...]) -> list[Offer] | Refusal:
    """The offers that contain the answer's excerpts, in the order of the document and without overlaps."""
    if not answer.excerpts:
        return _refuse("no_excerpt", f"nothing of {answer.text[:200]!r} is marked as quoted")
    ends = [*((excerpt.answer_start, excerpt.answer_end) for excerpt in answer.excerpts), (len(answer.text), 0)]
    between = [answer.text[end:start] for (_, end), (start, _) in pairwise(ends)]
    if max(map(len, between)) > MOST_BETWEEN:
        return _refuse("text_between_excerpts", f"expected at most {MOST_BETWEEN} characters, found {between!r}")
    chosen: list[Offer] = []
    for span in sorted(_without_mark(document, (one.document_start, one.document_end)) for one in answer.excerpts):
        covering = _covering(offered, span)
        while covering and chosen and covering[0].first <= chosen[-1].last:
            first = chosen.pop()
            covering = _covering(offered, (first.span[0], max(first.span[1], covering[-1].span[1])))
        if not covering:
            return _refuse("no_offer", f"no excerpts on offer contain characters {span[0]} to {span[1]}")
        chosen += covering
    if len(chosen) > MOST_EXCERPTS:
        return _refuse("too_many_excerpts", f"expected at most {MOST_EXCERPTS} excerpts, found {len(chosen)}")
    return chosen


def _without_mark(document: str, span: Span) -> Span:
    mark = LIST_MARK.match(document, *span)
    return (mark.end(), span[1]) if mark and mark.end() < span[1] else span


def _covering(offered: tuple[Offer, ...], span: Span) -> list[Offer]:
    """The smallest offer that contains the span, or the longest ones that do so together; empty when there are none."""
    start, end = span
    begun = [offer for offer in offered if offer.span[0] <= start < offer.span[1]]
    whole = [offer for offer in begun if end <= offer.span[1]]
    if whole:
        return [min(whole, key=lambda offer: offer.characters)]
    if not begun:
        return []
    nearest = max(offer.first for offer in begun)
    longest = max((offer for offer in begun if offer.first == nearest), key=lambda offer: offer.last)
    following = [offer.span[0] for offer in offered if offer.first == longest.last + 1]
    rest = _covering(offered, (following[0], end)) if following and following[0] < end else []
    return [longest, *rest] if rest else []


def _lead(answer: Expansion, first: Offer) -> str:
    quoted = answer.excerpts[0]
    lead = collapse(answer.text[: quoted.answer_start])
    continued = quoted.document_start == first.span[0] or _LEAD_END.search(lead)
    follows = first.span[0] <= quoted.document_end <= first.span[1]
    return lead if len(lead) <= LEADS[-1] and continued and follows else ""


def _refuse(reason: CanonicalReason, detail: str) -> Refusal:
    return Refusal(reason, detail)
