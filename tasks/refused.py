"""The other half of every filter: rows that did not come through, as a `REJECTED` table."""

from collections.abc import Sequence

import polars as pl

from models.refusals import Refusal
from tasks.tables import REJECTED


def refused_frame(rows: pl.DataFrame) -> pl.DataFrame:
    """A `REJECTED` table of rows that have some of its columns; others are null, and `kind` is `rejected`.

    Args:
        rows: At least `reason`; other columns are dropped.
    """
    defaults = {"kind": pl.lit("rejected")}
    columns = {
        name: pl.col(name) if name in rows.columns else defaults.get(name, pl.lit(None)) for name in REJECTED.names()
    }
    return rows.select(column.cast(REJECTED[name]).alias(name) for name, column in columns.items())


def split(rows: pl.DataFrame, refusals: Sequence[Refusal | None]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without and with a refusal; the latter have `reason` and `detail` more."""
    marked = rows.with_columns(
        pl.Series("reason", [refusal and refusal.reason for refusal in refusals], pl.String),
        pl.Series("detail", [refusal and refusal.detail for refusal in refusals], pl.String),
    )
    refused = pl.col("reason").is_not_null()
    return rows.filter(~marked.select(refused).to_series()), marked.filter(refused)
