"""The instantiator's grammar: `null`, or an instruction of this template with an answer from this document (paper 1.6).

    {"instruction": "...", "answer": "A short lead: <excerpt>first words<...>last words</excerpt> <excerpt>..."}

The instruction is the template's fixed text with a value of bounded length in each slot, never the slot's own
description, and on request only words that follow each other in a clause of the document, at its beginning also in
lower case; it is one terminal, for the reason that `notation` gives. The answer is an optional lead of at most 60
characters and one to three different excerpts in the order of the document. How long a lead may be depends on the first
excerpt, so that the share of excerpt characters always holds. Where answers are retrieved (`models.passages`), the
model leaves `answer` empty.

Excerpts are rules with a parameter, which llguidance expands only as far as decoding gets: bits 0-1 count the excerpts
already written, bits 2-4 are the tier of the lead before the first one.

Not covered: that the excerpts answer the instruction.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, groupby

from models.anchors import Offer
from models.excerpts import collapse
from models.grammars.notation import EMPTY, grammar, in_json, literal, phrase, rule, words_of
from models.settings import InstantiatorSettings
from models.templates import Template

MOST_EXCERPTS = 3
LEADS = (0, 5, 10, 15, 20, 30, 45, 60)
"""Longest lead in characters, by tier."""

MOST_TEXT = 2500
"""Characters of the text that slots choose from: beyond 3,000 the lexer gives up on some of them (llguidance 1.7)."""

BEGINNING = 4
"""Words of a clause that may also be in lower case, for a capital there is often only that of a sentence."""

INSTRUCTION_KEYS = {"paper": "instantiated_instruction", "document-first": "instruction"}
"""The key of the instruction in the JSON object, by prompt layout; the answer's is `answer` in both."""


def instantiator_grammar(
    template: Template, offered: tuple[Offer, ...], text: str, settings: InstantiatorSettings
) -> str | None:
    """The grammar for a template, the excerpts on offer and the shown text; None when no excerpt is within limits."""
    answer_rules = (_NO_ANSWER,) if settings.retrieval else _answer_rules(offered, settings)
    if not answer_rules:
        return None
    opening, middle, closing = f'{{"{INSTRUCTION_KEYS[settings.layout]}": "', '", "answer": "', '"}'
    return grammar(
        rule("start", ['"null"', f"{literal(opening)} INSTRUCTION {literal(middle)} answer {literal(closing)}"]),
        *_instruction_rules(template),
        *_values(text, settings),
        *answer_rules,
    )


_CLAUSE_END = re.compile(r"(?<=[.!?:;,])(?<!\b[A-Za-z]\.) ")
"""The space behind a mark that ends a clause; not one behind an abbreviation such as "U.S."."""

_NO_ANSWER = rule("answer", [EMPTY])
"""What stands where the answer would be, if it is retrieved afterwards."""


def _instruction_rules(template: Template) -> Iterator[str]:
    names = [f"SLOT_{number}" for number, _ in enumerate(template.slots)]
    parts = [in_json(template.fixed[0])]
    for name, fixed in zip(names, template.fixed[1:], strict=True):
        parts += [name, in_json(fixed)]
    yield rule("INSTRUCTION", [" ".join(part for part in parts if part != EMPTY)])
    for name, description in zip(names, template.slots, strict=True):
        yield rule(name, [f"VALUE & ~{literal(description.strip())}i"])


def _values(text: str, settings: InstantiatorSettings) -> Iterator[str]:
    """What may fill a slot: any words, or runs of words of the text that go over no end of a clause."""
    value = phrase(1, settings.slot_characters)
    if settings.slot_values == "document":
        yield rule("WORDS", [words_of(_choosable(text))])
        value = f"WORDS & {value}"
    yield rule("VALUE", [value])


def _choosable(text: str) -> str:
    """Clauses, and their beginnings in lower case, from the middle of the text outwards, as far as there is room."""
    clauses = [clause[:MOST_TEXT] for clause in _CLAUSE_END.split(collapse(text))]
    middle = len(clauses) // 2
    nearest = [clauses[number] for number in sorted(range(len(clauses)), key=lambda number: abs(number - middle))]
    lines = [line for clause in nearest for line in (clause, *_lowered(" ".join(clause.split(" ")[:BEGINNING])))]
    lengths = accumulate(map(len, lines))
    # A line break is no character of a phrase.
    return "\n".join(line for line, length in zip(lines, lengths, strict=True) if length <= MOST_TEXT)


def _lowered(beginning: str) -> list[str]:
    return [beginning.lower()] if beginning.lower() != beginning else []


@lru_cache(maxsize=8)
def _answer_rules(offered: tuple[Offer, ...], settings: InstantiatorSettings) -> tuple[str, ...]:
    """The rules under `answer`, the same for all templates of a window; empty when no excerpt fits the settings."""
    fitting = [offer for offer in offered if _fits(offer, settings)]
    return tuple(_excerpt_rules(fitting, settings.min_excerpt_share)) if fitting else ()


def _excerpt_rules(offered: Sequence[Offer], share: float) -> Iterator[str]:
    """`from_N`: an excerpt of group N or a later one; `more_N`: nothing, or " " and a further one of those."""
    groups = [list(group) for _, group in groupby(offered, key=lambda offer: offer.first)]
    firsts = [group[0].first for group in groups]
    tiers = range(1, 1 + max(_tier(offer, share) for offer in offered))
    several = all(offer.characters >= _outweighing(1, share) for offer in offered)

    def written(text: str, offer: Offer) -> str:
        later = bisect_left(firsts, offer.last + 1)
        more = f"more_{later}::bit_and(3)" if several and later < len(groups) else ""
        return f"{literal(text)} {more} {_if_outweighing([offer], share)}"

    yield rule("answer", ["from_0::0", *(f"LEAD_{tier} from_0::{tier << 2}" for tier in tiers)])
    yield from (rule(f"LEAD_{tier}", [f'({phrase(1, LEADS[tier])}) " "']) for tier in tiers)
    for number, group in enumerate(groups):
        ways = [written(offer.written, offer) for offer in group if offer.end is None]
        anchored = [offer for offer in group if offer.end is not None]
        later = [f"from_{number + 1}::_"] if number + 1 < len(groups) else []
        if anchored:
            start = literal(f"<excerpt>{anchored[0].start}<...>")
            ways.append(f"{start} ends_{number}::_ {_if_outweighing(anchored, share)}")
            yield rule(f"ends_{number}::_", [written(f"{offer.end}</excerpt>", offer) for offer in anchored])
        yield rule(f"from_{number}::_", [*ways, *later])
        yield rule(f"more_{number}::_", ['""', f'" " from_{number}::incr([0:2]) %if lt([0:2], {MOST_EXCERPTS - 1})'])


def _if_outweighing(offered: Sequence[Offer], share: float) -> str:
    """The condition that one of the excerpts outweighs the lead written before it, if any."""
    return f"%if le([2:5], {max(_tier(offer, share) for offer in offered)})"


def _tier(offer: Offer, share: float) -> int:
    """The highest tier of lead that the excerpt outweighs, the space between them included."""
    return max(tier for tier, lead in enumerate(LEADS) if offer.characters >= _outweighing(lead and lead + 1, share))


def _outweighing(other: int, share: float) -> float:
    """How many excerpt characters it takes for `other` characters beside them to leave their share at `share`."""
    if other == 0:
        return 0
    return other * share / (1 - share) + 1 if share < 1 else math.inf


def _fits(offer: Offer, settings: InstantiatorSettings) -> bool:
    """Whether an answer of this excerpt alone is long enough, and one of three like it with a lead short enough."""
    longest = (settings.max_answer_characters - LEADS[-1] - MOST_EXCERPTS) // MOST_EXCERPTS
    return settings.min_answer_characters <= offer.characters <= longest
