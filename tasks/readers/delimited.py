"""Reader of csv and tsv files with a header; fields may be quoted and hold line ends.

A record that breaks the quoting rules, or has more or fewer fields than the header, is refused, and reading goes on
with the next line. So a quote that is never closed costs the records up to the next quote.
"""

import csv
from collections.abc import Iterator

from models.refusals import Refusal
from tasks.readers.rows import Row, refuse
from tasks.readers.streams import BYTE_ORDER_MARK, LINE_BYTES, ByteStream


def read_delimited(stream: ByteStream, delimiter: str) -> Iterator[Row]:
    """One row a record after the header."""
    # The module's limit is global; fields are bounded here as lines are in the other formats.
    csv.field_size_limit(LINE_BYTES)
    records = _records(_decoded_lines(stream), delimiter)
    header = next(records, [])
    if isinstance(header, Refusal):
        yield Row(0, Refusal(header.reason, f"header: {header.detail}"))
        return
    for number, record in enumerate(records):
        if isinstance(record, Refusal):
            yield Row(number, record)
        elif len(record) == len(header):
            yield Row(number, dict(zip(header, record, strict=True)))
        elif record:
            detail = f"expected {len(header)} fields as in the header, found {len(record)}"
            yield Row(number, refuse("malformed_csv", detail))


def _decoded_lines(stream: ByteStream) -> Iterator[str]:
    """Lines with their ends; bytes that are not UTF-8 become lone surrogates, so that only their record is refused."""
    yield stream.readline(LINE_BYTES).removeprefix(BYTE_ORDER_MARK).decode(errors="surrogateescape")
    while line := stream.readline(LINE_BYTES):
        yield line.decode(errors="surrogateescape")


def _records(lines: Iterator[str], delimiter: str) -> Iterator[list[str] | Refusal]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield refuse("malformed_csv", f"{error} in lines {first} to {reader.line_num}")
        else:
            yield record if _is_unicode(record) else refuse("wrong_encoding", f"expected UTF-8 in line {first}")


def _is_unicode(record: list[str]) -> bool:
    """Whether no byte had to be smuggled through as a lone surrogate."""
    try:
        "".join(record).encode()
    except UnicodeEncodeError:
        return False
    return True
