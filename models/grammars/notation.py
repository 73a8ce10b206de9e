"""The few words of llguidance's Lark dialect that the grammars are written in.

Rules have lower-case names, terminals upper-case ones. `PLAIN` is the alphabet of all free text: what needs no escape
in JSON and cannot begin or end any markup.

What to know before writing one: llguidance ends a terminal only where the next byte cannot continue it, and does not go
back. Free text followed by text that it could itself contain (a slot's value before the rest of a template) must
therefore be one terminal with it; as two they accept only values that fill their limit.

Not covered: lone surrogates, which are no Unicode text and cannot be written in a grammar.
"""

import json
from collections.abc import Iterable

PLAIN = r'[^\s"\\<>\[\]\x00-\x1f\x7f]'
"""A regular expression's class: one visible character of free text."""

EMPTY = '""'
"""The literal of the empty string."""


def literal(text: str) -> str:
    """A string literal that stands for exactly `text`."""
    # llguidance reads JSON strings, but for this one control character it wants an escape where JSON wants none.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def in_json(text: str) -> str:
    """A string literal for `text` as it stands inside a JSON string."""
    return literal(json.dumps(text, ensure_ascii=False)[1:-1])


def rule(name: str, alternatives: Iterable[str]) -> str:
    """One rule or terminal; `alternatives` holds at least one."""
    return f"{name}: " + "\n  | ".join(alternatives)


def grammar(*rules: str) -> str:
    """A whole grammar; one of the rules is `start`."""
    return "\n".join((*rules, ""))


def words(fewest: int, most: int, longest: int = 30) -> str:
    """A terminal's body: `fewest` to `most` words of at most `longest` characters, a single space between them."""
    word = f"{PLAIN}{{1,{longest}}}"
    return f"/{word}( {word}){{{fewest - 1},{most - 1}}}/"


def phrase(fewest: int, most: int) -> str:
    """A terminal's body: words with a single space between them, `fewest` to `most` characters in all."""
    return f"/{PLAIN}+( {PLAIN}+)*/ & /(?s:.){{{fewest},{most}}}/"


def words_of(text: str) -> str:
    """A terminal's body: any run of whole words of `text`, with what stands between them."""
    return f'%regex {{"substring_words": {literal(text)}}}'
