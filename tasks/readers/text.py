"""Readers of text files: JSON lines, and plain text as one row a file or one row a line."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from models.refusals import Refusal
from tasks.readers.rows import Row, decode, refuse
from tasks.readers.streams import BYTE_ORDER_MARK, LINE_BYTES, ByteStream, read_lines

_TOO_LONG = f"longer than {LINE_BYTES // 2**20} MiB"


def read_jsonl(stream: ByteStream) -> Iterator[Row]:
    """One JSON object a line; what is none is a refused row."""
    for number, line in read_lines(stream):
        if line is None:
            yield Row(number, refuse("too_long", f"the line is {_TOO_LONG}"))
        elif line.strip():
            yield Row(number, _parse(line))


def read_text(stream: ByteStream, unit: Literal["file", "line"]) -> Iterator[Row]:
    """The field `text` of each line that is not blank, or of the whole file, character for character."""
    if unit == "line":
        for number, line in read_lines(stream):
            if line is None:
                yield Row(number, refuse("too_long", f"the line is {_TOO_LONG}"))
            elif line.strip():
                yield Row(number, _as_text(line))
        return
    data = stream.read(LINE_BYTES + 1)
    if len(data) > LINE_BYTES:
        yield Row(0, refuse("too_long", f"the file is {_TOO_LONG}"))
    elif data:
        yield Row(0, _as_text(data.removeprefix(BYTE_ORDER_MARK)))


def _as_text(data: bytes) -> dict[str, Any] | Refusal:
    text = decode(data)
    return text if isinstance(text, Refusal) else {"text": text}


def _parse(line: bytes) -> dict[str, Any] | Refusal:
    text = decode(line)
    if isinstance(text, Refusal):
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return refuse("malformed_json", f"{error.msg} at character {error.pos} of {text[:60]!r}")
    except (ValueError, RecursionError) as error:
        return refuse("malformed_json", f"{error} in {text[:60]!r}")
    if not isinstance(value, dict):
        return refuse("not_an_object", f"expected one JSON object a line, found {type(value).__name__} {text[:60]!r}")
    return value
