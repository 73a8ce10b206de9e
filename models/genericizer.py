"""The genericizer: a query becomes a template and a description of compatible documents (paper 1.2, 3.1).

`request` says what to ask an engine, `read` what its completion means; both are pure. A query that cannot become a
template is refused before anything is spent on it. A completion with `error` set is the caller's to handle.
"""

from dataclasses import dataclass
from typing import Literal

from models.digests import digest
from models.engine import Completion, Message, Request
from models.grammars import genericizer_grammar
from models.grammars.genericizer import query_words
from models.markup import find_markup, neutralise
from models.prompts import Prompt
from models.refusals import Refusal
from models.replies import ReplyReason, read_strings
from models.settings import GenericizerSettings
from models.templates import TemplateReason, check_template

GenericizerReason = ReplyReason | TemplateReason | Literal["query_has_markup", "query_too_short", "query_too_long"]

FEWEST_QUERY_WORDS = 2
MOST_QUERY_WORDS = 400
"""Bounds the grammar; such a template would be too long to be instantiated anyway."""


@dataclass(frozen=True)
class Generic:
    """A template of a query, and what the documents are like that could fill and answer it."""

    template: str
    description: str


class Genericizer:
    """Asks for templates and reads them, by the given settings."""

    def __init__(self, settings: GenericizerSettings) -> None:
        self._settings = settings
        self._system = Prompt("genericizer_teacher" if settings.prompt == "teacher" else "genericizer_system")
        self._user = Prompt("genericizer_user")

    @property
    def prompt_digest(self) -> str:
        """Identity of the prompt in use."""
        if self._settings.prompt == "bare":
            return digest("bare")
        return digest(self._system.digest, self._user.digest)

    def request(self, id: str, query: str) -> Request | Refusal:
        """What to ask about `query`; refused when no template can be made of it."""
        if markup := find_markup(query):
            return Refusal("query_has_markup", f"{markup} in {query[:80]!r}")
        words = len(query_words(query))
        if words < FEWEST_QUERY_WORDS:
            return Refusal("query_too_short", f"expected {FEWEST_QUERY_WORDS} or more words, found {query[:80]!r}")
        if words > MOST_QUERY_WORDS:
            return Refusal("query_too_long", f"expected at most {MOST_QUERY_WORDS} words, found {words}")
        grammar = genericizer_grammar(query) if self._settings.constrained else None
        return Request(id, self._messages(neutralise(query)), self._settings.sampling, grammar)

    def read(self, query: str, completion: Completion) -> Generic | Refusal:
        """The template and description in a completion, or which `GenericizerReason` speaks against them."""
        strings = read_strings(completion, "template", "compatible_document_description")
        if isinstance(strings, Refusal):
            return strings
        if strings is None:
            return Refusal("not_json", "expected an object, found null", malformed=True)
        template, description = strings
        return check_template(query, template, description) or Generic(template, description.strip())

    def _messages(self, query: str) -> tuple[Message, ...]:
        if self._settings.prompt == "bare":
            return (Message("user", query),)
        return Message("system", self._system.render()), Message("user", self._user.render(query=query))
