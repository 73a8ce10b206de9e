"""What every reader yields: numbered rows, good or refused."""

from dataclasses import dataclass
from typing import Any, Literal

from models.refusals import Refusal

ReadReason = Literal[
    "malformed_json",
    "not_an_object",
    "malformed_csv",
    "wrong_encoding",
    "binary_file",
    "truncated_file",
    "corrupt_file",
    "missing_text",
    "empty_text",
    "too_short",
    "too_long",
    "no_user_turn",
    "duplicate_id",
]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an input file: its fields, or why it has none.

    `number` counts from 0 over every line of a jsonl or text file, every record after the header of a csv file, every
    row of a parquet file; blank lines are counted but are no rows.
    """

    number: int
    content: dict[str, Any] | Refusal


def refuse(reason: ReadReason, detail: str) -> Refusal:
    """A refusal whose reason the type checker has seen."""
    return Refusal(reason, detail)


def decode(data: bytes) -> str | Refusal:
    """UTF-8 text, exactly; nothing is replaced."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return refuse("wrong_encoding", f"expected UTF-8, found byte 0x{data[error.start]:02x} at byte {error.start}")
