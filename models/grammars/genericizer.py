"""The genericizer's grammar: a template of exactly this query, and a description (paper 1.2, 3.1).

    {"template": "...", "compatible_document_description": "..."}

The template is the query in which one or more stretches of 1 to 8 words are replaced by `<fi>3 to 60 characters</fi>`
and at least one word is kept; the description has 8 to 40 words, a little more room than the prompts ask for. The
number of alternatives grows with words x 8.

Not covered: whether a slot gives away what it replaces; `models.templates.check_template` looks at that. Models that
were tuned to other forms, as the paper's own, have longer slots and descriptions: they decode freely.
"""

import re
from collections.abc import Iterator

from models.grammars.notation import grammar, in_json, literal, phrase, rule, words
from models.sentences import Span

LONGEST_SPAN = 8
"""Words that one slot may replace; of the templates checked by hand 99 % need no more."""

_WORD = re.compile(r"[\[{$€£#@*.]{0,3}\w+(?:[-./]\w+|['’](?!s\b)\w+)*[\]}+#%]*")


def query_words(query: str) -> list[Span]:
    """The words that a slot may replace. A template needs two of them, one to keep and one to replace."""
    return [found.span() for found in _WORD.finditer(query)]


def genericizer_grammar(query: str) -> str:
    """The grammar for one query of at least two `query_words`."""
    opening, middle, closing = '{"template": "', '", "compatible_document_description": "', '"}'
    return grammar(
        rule("start", [f"{literal(opening)} none_0 {literal(middle)} DESCRIPTION {literal(closing)}"]),
        *_template_rules(query, query_words(query)),
        rule("SLOT", ['"<fi>" SLOT_TEXT "</fi>"']),
        rule("SLOT_TEXT", [phrase(3, 60)]),
        rule("DESCRIPTION", [words(8, 40)]),
    )


def _template_rules(query: str, spans: list[Span]) -> Iterator[str]:
    """Rules that write the query from word N on, knowing what has been written before it.

    `none_0`: nothing; `kept_N`: words only; `slots_N`: slots only; `both_N`: words and slots, as it must be at the end.
    `past_N` goes on behind a slot that replaces word N and up to seven words more.
    """
    last = len(spans)
    edges = [0, *(edge for span in spans for edge in span), len(query)]
    gaps = [in_json(query[start:end]) for start, end in zip(edges[0::2], edges[1::2], strict=True)]
    for word, (start, end) in enumerate(spans):
        keep, replace = f"{gaps[word]} {in_json(query[start:end])}", f"{gaps[word]} SLOT"
        after = range(word + 1, min(word + LONGEST_SPAN, last) + 1)
        only_slots = [f"{replace} slots_{following}" for following in after if following < last]
        only_words = [f"{keep} kept_{word + 1}"] if word + 1 < last else []
        if word == 0:
            yield rule("none_0", [*only_words, *only_slots])
            continue
        yield rule(f"kept_{word}", [*only_words, f"{replace} past_{word}"])
        yield rule(f"slots_{word}", [f"{keep} both_{word + 1}", *only_slots])
        yield rule(f"both_{word}", [f"{keep} both_{word + 1}", f"{replace} past_{word}"])
        yield rule(f"past_{word}", [f"both_{following}" for following in after])
    yield rule(f"both_{last}", [gaps[last]])
