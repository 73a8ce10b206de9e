"""Streamed rows of one input file: JSON lines, csv, tsv, parquet, plain text; plain, .gz or .zst; local or remote.

Guarantees: every row of the file comes out once, in order, as fields or as a refusal with a reason. Damage costs the
rows it touches and no others: of a file that ends too early or is broken in the middle, all rows before the damage
come out, then one refused row. Memory is bounded. Only a file that cannot be reached raises (`OSError`).
Not covered: JSON documents over several lines, csv without a header, encodings other than UTF-8.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tasks.readers.columnar import read_parquet
from tasks.readers.delimited import read_delimited
from tasks.readers.rows import ReadReason, Row, refuse
from tasks.readers.streams import CORRUPT, ByteStream, open_stream, sniff
from tasks.readers.text import read_jsonl, read_text

__all__ = ["COMPRESSIONS", "FORMATS", "ReadReason", "Reading", "Row", "format_of", "read_file", "refuse"]

COMPRESSIONS = (".gz", ".zst")


@dataclass(frozen=True)
class Reading:
    """What a reader must know: the unit of a plain text file, and the top-level fields that will be asked for."""

    text_unit: Literal["file", "line"] = "file"
    columns: frozenset[str] = frozenset()


def _text_format(read: Callable[[ByteStream], Iterator[Row]], url: str) -> Iterator[Row]:
    with open_stream(url) as stream:
        if refusal := sniff(stream):
            yield Row(0, refusal)
        else:
            yield from read(stream)


def _jsonl(url: str, _: Reading) -> Iterator[Row]:
    return _text_format(read_jsonl, url)


def _delimited(url: str, _: Reading, delimiter: str) -> Iterator[Row]:
    return _text_format(partial(read_delimited, delimiter=delimiter), url)


def _plain(url: str, reading: Reading) -> Iterator[Row]:
    return _text_format(partial(read_text, unit=reading.text_unit), url)


def _parquet(url: str, reading: Reading) -> Iterator[Row]:
    return read_parquet(url, reading.columns)


FORMATS: dict[str, Callable[[str, Reading], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _jsonl,
    ".csv": partial(_delimited, delimiter=","),
    ".tsv": partial(_delimited, delimiter="\t"),
    ".parquet": _parquet,
    ".txt": _plain,
    ".md": _plain,
}
"""Ending of a file's name, without that of the compression, to its reader."""


def format_of(url: str) -> str | None:
    """The key into `FORMATS` that the name of a file asks for; None for no known one."""
    name = url.lower()
    compression = next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), "")
    return next((suffix for suffix in FORMATS if name.endswith(suffix + compression)), None)


def read_file(url: str, reading: Reading) -> Iterator[Row]:
    """All rows of a file whose name has a known ending.

    Raises:
        ValueError: when the ending is unknown.
        OSError: when the file cannot be reached.
    """
    if (suffix := format_of(url)) is None:
        raise ValueError(f"{url}: expected a name ending in one of {', '.join(FORMATS)}")
    following = 0
    try:
        for row in FORMATS[suffix](url, reading):
            yield row
            following = row.number + 1
    except EOFError as error:
        yield Row(following, refuse("truncated_file", f"{error}; rows before this one are whole"))
    except CORRUPT as error:
        yield Row(following, refuse("corrupt_file", f"{error}; rows before this one are whole"))
