"""Cleaning of queries: Unicode form, control characters, whitespace, length.

Only queries are rewritten; documents never are. Line ends and indentation inside a query stay, for prompts are layouts.
"""

import re
import unicodedata

from models.refusals import Refusal

# Controls but tab and line feed; zero-width space, soft hyphen, byte order mark; marks and overrides of direction.
# Joiners (U+200C, U+200D) stay: Indic scripts and emoji need them.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029\x85]")
_SPACES = re.compile(r"[^\S\n\t]")
_RUNS = re.compile(r"(?<=\S)[ \t]+")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")


def clean_query(text: str) -> str:
    """The query in NFC without invisible characters, with single spaces, at most one blank line in a row."""
    text = _SPACES.sub(" ", _LINE_ENDS.sub("\n", text))
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    text = _TRAILING.sub("", _RUNS.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()


def check_length(text: str, low: int, high: int) -> Refusal | None:
    """A refusal when a cleaned query has fewer than `low` or more than `high` characters."""
    if len(text) < low:
        return Refusal("too_short", f"{len(text)} characters after cleaning, expected at least {low}")
    if len(text) > high:
        return Refusal("too_long", f"{len(text)} characters after cleaning, expected at most {high}")
    return None
