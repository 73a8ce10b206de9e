"""Templates: a query whose specifics are replaced by `<fi>what fits here</fi>` slots (paper 1.2, 3.1).

`Template.parse` reads one, `check_template` decides whether a generated one is a faithful template of its query, and
`read_slots` finds the slots' values in an instruction. All three are pure and take time linear in their input. What is
wrong with a generated template comes back as a `Refusal`; only `Template.parse` and `read_slots` raise, and only
`TemplateError`.

Not covered: whether a slot's text describes well what was replaced, and leaks that need knowledge of the world
("louvre paris" replaced by "museum in france").
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from models.errors import FineInstructionsError
from models.markup import SLOT_TAGS, find_markup
from models.refusals import Refusal
from models.sentences import Span

TemplateReason = Literal[
    "unbalanced_tags",
    "nested_markup",
    "no_slot",
    "empty_slot",
    "no_literal_word",
    "text_not_from_query",
    "description_length",
    "slot_leaks_entity",
]

FEWEST_DESCRIPTION_WORDS = 8
MOST_DESCRIPTION_WORDS = 120

_WORD = re.compile(r"\w+(?:[-.'’]\w+)*")


class TemplateError(FineInstructionsError):
    """The text is not a template; `reason` says in one word why."""

    def __init__(self, reason: TemplateReason, detail: str) -> None:
        super().__init__(f"not a template ({reason}): {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Piece:
    """A stretch of a template: fixed text, or the description inside a slot."""

    text: str
    is_slot: bool


@dataclass(frozen=True)
class Template:
    """A parsed template: `fixed[0] slots[0] fixed[1] slots[1] ... fixed[-1]`, where a fixed text may be empty."""

    fixed: tuple[str, ...]
    slots: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read `text`; raises `TemplateError` for unbalanced tags, other markup, empty slots or none at all."""
        tags = SLOT_TAGS.findall(text)
        if tags != ["<fi>", "</fi>"] * (len(tags) // 2):
            raise TemplateError("unbalanced_tags", f"expected <fi> and </fi> in turns, found {' '.join(tags)[:80]}")
        if not tags:
            raise TemplateError("no_slot", f"there is no <fi>...</fi> in {text[:80]!r}")
        texts = SLOT_TAGS.split(text)
        template = cls(fixed=tuple(texts[0::2]), slots=tuple(texts[1::2]))
        if not all(slot.strip() for slot in template.slots):
            raise TemplateError("empty_slot", f"a slot of {text[:80]!r} does not say what fits it")
        for part in texts:
            if markup := find_markup(part):
                raise TemplateError("nested_markup", f"{markup} in {part[:80]!r}")
        return template

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Fixed texts and slots in order of appearance, without the empty ones."""
        pieces = [Piece(self.fixed[0], is_slot=False)]
        for slot, fixed in zip(self.slots, self.fixed[1:], strict=True):
            pieces += [Piece(slot, is_slot=True), Piece(fixed, is_slot=False)]
        return tuple(piece for piece in pieces if piece.text)

    @property
    def complexity(self) -> int:
        """Number of slots (paper 3.2, "Retrieval")."""
        return len(self.slots)


def check_template(query: str, template: str, description: str) -> Refusal | None:
    """None when `template` and `description` may enter the bank as made from `query`, else why not (paper 3.1)."""
    try:
        parsed = Template.parse(template)
    except TemplateError as error:
        return Refusal(error.reason, error.detail, malformed=True)
    if not any(_WORD.search(text) for text in parsed.fixed):
        return _refuse("no_literal_word", f"no word of the query is left in {template[:80]!r}")
    replaced = replaced_spans(parsed, query)
    if replaced is None:
        return _refuse("text_not_from_query", f"the fixed text of {template[:80]!r} is not that of {query[:80]!r}")
    words = len(description.split())
    if not FEWEST_DESCRIPTION_WORDS <= words <= MOST_DESCRIPTION_WORDS:
        expected = f"{FEWEST_DESCRIPTION_WORDS} to {MOST_DESCRIPTION_WORDS}"
        return _refuse("description_length", f"expected {expected} words, found {words}")
    if markup := find_markup(description):
        return _refuse("nested_markup", f"{markup} in the description {description[:80]!r}")
    for span, slot in zip(replaced, parsed.slots, strict=True):
        if leak := _leak(query[slice(*span)], slot):
            return _refuse("slot_leaks_entity", f"{leak!r} of the query is still in the slot {slot[:80]!r}")
    return None


def read_slots(template: str, instruction: str) -> list[str] | None:
    """The slots' values when `instruction` is the template's fixed text around non-blank values, else None.

    Any run of whitespace equals any other. Where several readings fit, earlier slots take the shortest value.
    Raises `TemplateError` when `template` is none.
    """
    found = _slot_reader(template.strip()).fullmatch(instruction.strip())
    return [value.strip() for value in found.groups()] if found else None


def _refuse(reason: TemplateReason, detail: str) -> Refusal:
    return Refusal(reason, detail, malformed=True)


@lru_cache(maxsize=256)
def _slot_reader(template: str) -> re.Pattern[str]:
    fixed = (r"\s++".join(map(re.escape, re.split(r"\s+", text))) for text in Template.parse(template).fixed)
    first, *others = fixed
    return _alternating(first, [(r"\s*+\S.*?", text) for text in others])


def replaced_spans(template: Template, query: str) -> list[Span] | None:
    """What of `query` each slot stands for; None when the template's fixed text is not the query's, in order.

    Whitespace counts for nothing. Slots with no word between them share their text: nothing says where one ends.
    """
    origin = [index for index, character in enumerate(query) if not character.isspace()]
    first, *others = (re.escape("".join(text.split())) for text in template.fixed)
    gaps: list[tuple[str, str]] = []
    sharing: list[int] = []
    slots = 0
    for position, text in enumerate(others, start=1):
        slots += 1
        if text or position == len(others):
            gaps.append((f".{{{slots},}}?", text))
            sharing.append(slots)
            slots = 0
    found = _alternating(first, gaps).fullmatch("".join(query[index] for index in origin))
    if not found:
        return None
    replaced: list[Span] = []
    for group, slots in enumerate(sharing, start=1):
        start, end = found.span(group)
        replaced += [(origin[start], origin[end - 1] + 1)] * slots
    return replaced


def _alternating(first: str, gaps: list[tuple[str, str]]) -> re.Pattern[str]:
    """The pattern `first (gap) text (gap) text ...` of (gap, text) patterns.

    Each text but the last is taken at its first place and never given back (atomic groups). That loses no match, and
    keeps a hostile query or answer from costing exponential time.
    """
    *middle, (last_gap, last) = gaps
    return re.compile("".join([first, *(f"(?>({gap}){text})" for gap, text in middle), f"({last_gap}){last}"]), re.S)


def _leak(replaced: str, slot: str) -> str | None:
    """The part of the `replaced` text that its slot gives away, or None.

    A leak is the whole text again ("paris" -> "paris landmark"), or a name or number of it: a word with a capital or
    a digit, spelt the same. A single common word in both ("ds1 cable" -> "type of cable") is none.
    """
    gone, kept = _WORD.findall(replaced), _WORD.findall(slot)
    whole = " ".join(gone).casefold()
    if len(whole) >= 3 and f" {whole} " in f" {' '.join(kept).casefold()} ":
        return replaced
    names = {word for word in gone if len(word) > 1 and any(mark.isupper() or mark.isdigit() for mark in word)}
    return next((word for word in kept if word in names), None)
