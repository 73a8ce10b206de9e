"""Files of labels: jsonl at fsspec URLs, whole and complete, or refused with the first row that is not.

Labels are few and somebody made them, so that a row that lacks a field is not counted and left out like a document's.
"""

from collections.abc import Iterable

import fsspec
import polars as pl

from models.errors import UsageError


def read_label_file(url: str, schema: pl.Schema, needed: Iterable[str]) -> pl.DataFrame:
    """The rows of a jsonl file; fields outside `schema` are ignored.

    Raises:
        UsageError: the file cannot be read, or a row lacks a field of `needed`.
    """
    try:
        with fsspec.open(url, "rb") as file:
            rows = pl.read_ndjson(file.read(), schema=schema)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"labels {url!r}: expected jsonl with {', '.join(schema)}, but: {error}") from error
    require(url, rows, needed)
    return rows


def require(url: str, rows: pl.DataFrame, needed: Iterable[str], where: pl.Expr | bool = True) -> None:
    """Do nothing when all `needed` fields are there.

    Args:
        url: Named in the message.
        rows: All rows of the file, in order.
        needed: Fields.
        where: The rows that need them.

    Raises:
        UsageError: a row lacks one.
    """
    names = list(needed)
    lacking = rows.with_row_index("number").filter(where & pl.any_horizontal(pl.col(names).is_null()))
    if len(lacking):
        raise UsageError(
            f"labels {url!r}: row {lacking['number'][0] + 1} of {len(rows)} lacks one of {', '.join(names)} "
            f"({len(lacking)} such rows); complete or remove them"
        )
