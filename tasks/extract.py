"""Rows of input files to items: a text with an id and a source, or a refusal (paper 1.1).

A text is taken exactly as it was read; nothing is trimmed or rewritten here. A chat log gives one item per user turn.
Every row gives at least one item, so that none gets lost.
Not covered: texts in several fields, chat logs in the form of trees.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.digests import digest_bytes
from models.refusals import Refusal
from tasks.readers import Row, refuse
from tasks.settings import ReadSettings, SourceSettings

ID_LENGTH = 24
"""Hex digits of an id made from the text: 96 bits, so that 10^9 documents do not collide."""

_USER_ROLES = frozenset({"user", "human", "prompter"})
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Item:
    """A text of an input row; where `refusal` is set there is no text, and an id only if the row had one."""

    row: int
    id: str
    source: str
    text: str
    refusal: Refusal | None = None


class Extractor:
    """Finds text, id and source in the rows of one file.

    Args:
        settings: Fields and bounds for all files.
        source: Settings for this file.
        default: Name of the source when neither the settings nor the row give one.
    """

    def __init__(self, settings: ReadSettings, source: SourceSettings, default: str) -> None:
        self._settings = settings
        self._source = source
        self._name = source.name or default
        self._text_paths = (source.text,) if source.text else settings.text_fields
        self._id_paths = (source.id,) if source.id else settings.id_fields

    @property
    def columns(self) -> frozenset[str]:
        """Top-level fields that may be asked for."""
        paths = {*self._text_paths, *self._id_paths, "source", self._source.messages} - {""}
        return frozenset({*paths, *(path.split(".")[0] for path in paths)})

    def items(self, row: Row) -> Iterator[Item]:
        """One item, or one per user turn of a chat log."""
        if isinstance(row.content, Refusal):
            yield Item(row.number, "", self._name, "", row.content)
        elif self._source.messages:
            yield from self._turns(row.number, row.content)
        else:
            yield self._item(row.number, row.content, self._id(row.content), self._text(row.content))

    def _item(self, number: int, fields: Mapping[str, Any], identifier: str, text: str | Refusal) -> Item:
        source = fields.get("source")
        name = source if not self._source.name and isinstance(source, str) and source else self._name
        checked = self._check(text, identifier + name)
        if isinstance(checked, Refusal):
            return Item(number, _printable(identifier), _printable(name), "", checked)
        return Item(number, identifier or _digest(checked), name, checked)

    def _turns(self, number: int, fields: Mapping[str, Any]) -> Iterator[Item]:
        messages = find_field(fields, self._source.messages)
        if not isinstance(messages, list):
            detail = f"expected a list of messages in {self._source.messages!r}, found {_describe(messages)}"
            yield self._item(number, fields, self._id(fields), refuse("missing_text", detail))
            return
        turns = [(turn, _turn_text(message)) for turn, message in enumerate(messages) if _is_user(message)]
        if not turns:
            refusal = refuse("no_user_turn", f"none of the {len(messages)} messages is a user's")
            yield self._item(number, fields, self._id(fields), refusal)
            return
        texts = [text for _, text in turns if isinstance(text, str)]
        identifier = self._id(fields) or _digest("\n".join(texts))
        for turn, text in turns:
            yield self._item(number, fields, f"{identifier}#{turn}", text)

    def _text(self, fields: Mapping[str, Any]) -> str | Refusal:
        found = ((path, find_field(fields, path)) for path in self._text_paths)
        path, value = next(((path, value) for path, value in found if value is not _MISSING), ("", _MISSING))
        if value is _MISSING:
            wanted = ", ".join(self._text_paths)
            detail = f"expected a text in {wanted}, found the fields {', '.join(map(repr, fields))[:200] or 'none'}"
            return refuse("missing_text", detail)
        return value if isinstance(value, str) else refuse("missing_text", f"{path!r} is {_describe(value)}")

    def _id(self, fields: Mapping[str, Any]) -> str:
        values = (find_field(fields, path) for path in self._id_paths)
        return next((str(value) for value in values if isinstance(value, str | int) and str(value)), "")

    def _check(self, text: str | Refusal, names: str) -> str | Refusal:
        if isinstance(text, Refusal):
            return text
        if not text.strip():
            return refuse("empty_text", f"{len(text)} blank characters" if text else "the text is empty")
        low, high = self._settings.min_characters, self._settings.max_characters
        if len(text) < low:
            return refuse("too_short", f"{len(text)} characters, expected at least {low}")
        if len(text) > high:
            return refuse("too_long", f"{len(text)} characters, expected at most {high}")
        try:
            (text + names).encode()
        except UnicodeEncodeError as error:
            return refuse(
                "wrong_encoding", f"lone surrogate U+{ord(error.object[error.start]):04X} in text, id or source"
            )
        return text


def find_field(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path (`conversation.0.content`; a literal name with dots goes first), or a sentinel."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for step in path.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, Sequence) and not isinstance(value, str) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _MISSING
    return value


def _is_user(message: Any) -> bool:
    return isinstance(message, Mapping) and (message.get("role") or message.get("from")) in _USER_ROLES


def _turn_text(message: Mapping[str, Any]) -> str | Refusal:
    """The text of a message: OpenAI's `content`, as text or as parts, or ShareGPT's `value`."""
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)
        )
    return (
        content
        if isinstance(content, str)
        else refuse("missing_text", f"the message's content is {_describe(content)}")
    )


def _describe(value: Any) -> str:
    if value is _MISSING:
        return "no such field"
    return "null" if value is None else f"a {type(value).__name__}"


def _digest(text: str) -> str:
    return digest_bytes(text.encode("utf-8", "surrogatepass"), ID_LENGTH)


def _printable(text: str) -> str:
    """The text with what no table can hold made visible."""
    return text.encode("utf-8", "backslashreplace").decode()
