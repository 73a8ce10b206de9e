"""The instantiator: a template and a document become an instruction and a grounded answer (paper 1.6, 3.3).

`request` says what to ask an engine, `read` what its completion means; both are pure. `read` holds for constrained and
for free decoding alike: what passes its gates is an instruction of exactly this template and an answer most of whose
characters are the document's own, at known places. A completion with `error` set is the caller's to handle.

Not covered: whether the answer is right; that is the judge's.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from models.anchors import offers
from models.digests import digest
from models.engine import Completion, Message, Request
from models.excerpts import Excerpt, ExcerptReason, Expansion, expand
from models.grammars import instantiator_grammar
from models.grammars.instantiator import INSTRUCTION_KEYS
from models.markup import EXCERPT_TAGS, MARKUP, SLOT_TAGS, find_markup, neutralise
from models.passages import find_passage
from models.prompts import Prompt
from models.refusals import Refusal
from models.replies import ReplyReason, read_strings
from models.sentences import Span
from models.settings import InstantiatorSettings
from models.slot_fit import find_misfit
from models.templates import Template, TemplateError, TemplateReason, read_slots

PairReason = Literal[
    "null",
    "unresolved_slot",
    "instruction_not_from_template",
    "repeated_slot",
    "unfinished_slot",
    "slot_misfit",
    "repeated_excerpt",
    "excerpt_share_low",
    "too_short",
    "too_long",
    "no_anchor",
    "no_passage",
]

NULL = "null"
"""What the model writes for a document that the template does not fit. As a token of its own, without a space before
it, it is far from likely anywhere but at the beginning, so that a bias on it decides nothing else."""

ABSTAINED: frozenset[PairReason] = frozenset({"null", "no_passage"})
"""Reasons that say that the document has no answer, not that the reply is wrong."""

InstantiatorReason = ReplyReason | ExcerptReason | PairReason | TemplateReason


@dataclass(frozen=True)
class Instantiated:
    """A pair. `excerpts` are spans of `answer` and of the whole document; `excerpt_share` is a share of characters."""

    instruction: str
    answer: str
    slots: tuple[str, ...]
    excerpts: tuple[Excerpt, ...]
    excerpt_share: float


class Instantiator:
    """Asks for pairs and reads them, by the given settings. Windows are spans of the whole document."""

    def __init__(self, settings: InstantiatorSettings) -> None:
        self._settings = settings
        *self._system, self._user = map(Prompt, _prompt_names(settings))
        self._bias = ((NULL, settings.null_bias),) if settings.null_bias else ()

    @property
    def prompt_digest(self) -> str:
        """Identity of the prompt in use."""
        return digest(*(prompt.digest for prompt in (*self._system, self._user)))

    def request(self, id: str, template: str, document: str, window: Span) -> Request | Refusal:
        """What to ask about the window of `document`; refused when it or the template can give no pair.

        Requests for the same window share all of their prompt but the template (layout `document-first`).
        """
        try:
            parsed = Template.parse(template)
        except TemplateError as error:
            return Refusal(error.reason, error.detail)
        grammar, shown = None, document[slice(*window)]
        if self._settings.constrained:
            grammar = instantiator_grammar(parsed, offers(document, window), shown, self._settings)
            if grammar is None:
                return Refusal("no_anchor", f"no excerpt can be named in characters {window[0]} to {window[1]}")
        messages = [Message("system", prompt.render()) for prompt in self._system]
        messages.append(Message("user", self._user.render(template=template, document=neutralise(shown))))
        return Request(id, tuple(messages), self._settings.sampling, grammar, self._bias)

    def read(self, template: str, document: str, window: Span, completion: Completion) -> Instantiated | Refusal:
        """The pair in a completion, or the first `InstantiatorReason` that speaks against it.

        Raises `TemplateError` when `template` is none, which `request` would have refused.
        """
        strings = read_strings(completion, INSTRUCTION_KEYS[self._settings.layout], "answer")
        if strings is None:
            return Refusal("null", "the model finds template and document incompatible")
        if isinstance(strings, Refusal):
            return strings
        written_instruction, written_answer = strings
        if leak := _leaked(written_instruction, SLOT_TAGS) or _leaked(written_answer, EXCERPT_TAGS):
            return leak
        instruction = _expand_instruction(written_instruction, document, window)
        if isinstance(instruction, Refusal):
            return instruction
        slots = self._read_values(template, instruction)
        if isinstance(slots, Refusal):
            return slots
        if (retrieval := self._settings.retrieval) is not None:
            found = find_passage(instruction, document, window, retrieval)
            if isinstance(found, Refusal):
                return found
            written_answer = found.written
        answer = expand(written_answer, document, window)
        if isinstance(answer, Refusal):
            return answer
        return self._check(answer) or Instantiated(instruction, answer.text, slots, answer.excerpts, answer.share)

    def _read_values(self, template: str, instruction: str) -> tuple[str, ...] | Refusal:
        values, descriptions = read_slots(template, instruction), Template.parse(template).slots
        if values is None:
            found = f"{instruction[:200]!r} is not {template[:200]!r} filled in"
            return _malformed("instruction_not_from_template", found)
        for value, description in zip(values, descriptions, strict=True):
            if value.casefold() == description.strip().casefold():
                return _malformed("unresolved_slot", f"a slot is filled with its own description {value!r}")
            if self._breaks_off(value):
                return _malformed("unfinished_slot", f"{description!r} is filled with {value!r}")
        if refusal := _repeated(values):
            return refusal
        if (retrieval := self._settings.retrieval) and (refusal := find_misfit(values, descriptions, retrieval)):
            return refusal
        return tuple(values)

    def _breaks_off(self, value: str) -> bool:
        last, endings = value.casefold().split()[-1], self._settings.slot_endings
        return last in endings or (not last[-1].isalnum() and last[-1] in endings)

    def _check(self, answer: Expansion) -> Refusal | None:
        """The gates on an expanded answer."""
        settings, length = self._settings, len(answer.text)
        spans = sorted((excerpt.document_start, excerpt.document_end) for excerpt in answer.excerpts)
        if markup := find_markup(answer.text):
            return _malformed("leaked_markup", f"{markup} of the document would be in the answer")
        if any(earlier_end > start for (_, earlier_end), (start, _) in pairwise(spans)):
            return _malformed("repeated_excerpt", f"two of the excerpts {spans} have text in common")
        if answer.share < settings.min_excerpt_share:
            expected = f"expected {settings.min_excerpt_share:.2f} or more"
            return Refusal("excerpt_share_low", f"{expected}, found {answer.share:.2f} in {answer.text[:200]!r}")
        if length < settings.min_answer_characters:
            expected = f"expected {settings.min_answer_characters} or more characters"
            return Refusal("too_short", f"{expected}, found {length}: {answer.text!r}")
        if length > settings.max_answer_characters:
            expected = f"expected at most {settings.max_answer_characters} characters"
            return Refusal("too_long", f"{expected}, found {length}")
        return None


def _prompt_names(settings: InstantiatorSettings) -> list[str]:
    if settings.layout == "paper":
        return ["instantiator_paper"]
    system = {"bare": [], "explained": ["instantiator_system"], "teacher": ["instantiator_teacher"]}
    return [*system[settings.prompt], "instantiator_user"]


def _expand_instruction(written: str, document: str, window: Span) -> str | Refusal:
    """The instruction as text: models also fill slots with excerpts (paper 3.3)."""
    if tag := SLOT_TAGS.search(written):
        return _malformed("unresolved_slot", f"{tag.group()} in the instruction {written[:200]!r}")
    expansion = expand(written, document, window)
    if isinstance(expansion, Refusal):
        return expansion
    if markup := find_markup(expansion.text):
        return _malformed("leaked_markup", f"{markup} of the document would be in the instruction")
    return expansion.text


def _repeated(values: Sequence[str]) -> Refusal | None:
    """A refusal when two slots have the same value ("oil or oil"): queries repeat a thing as "it"."""
    for value, times in Counter(value.strip().casefold() for value in values).items():
        if times > 1:
            return _malformed("repeated_slot", f"{times} slots are filled with {value!r}")
    return None


def _leaked(text: str, tags: re.Pattern[str]) -> Refusal | None:
    """A refusal when there is markup in `text` other than the given tags and those of excerpts."""
    for found in MARKUP.finditer(text):
        if not (EXCERPT_TAGS.fullmatch(found.group()) or tags.fullmatch(found.group())):
            return _malformed("leaked_markup", f"{found.group()} in {text[:200]!r}")
    return None


def _malformed(reason: InstantiatorReason, detail: str) -> Refusal:
    return Refusal(reason, detail, malformed=True)
