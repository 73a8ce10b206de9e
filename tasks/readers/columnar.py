"""Reader of parquet files, batch by batch; what is remote, or compressed as a whole, is copied first."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import polars as pl
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from tasks.readers.rows import Row, refuse
from tasks.readers.streams import open_stream

_BATCH_ROWS = 1000


def read_parquet(url: str, columns: frozenset[str]) -> Iterator[Row]:
    """One row a row, with the wanted columns that are there (all, when none of them is).

    Args:
        url: File, its name ending in .parquet, .parquet.gz or .parquet.zst.
        columns: Names of top-level columns.
    """
    numbers = count()
    with _local_copy(url) as path:
        try:
            rows = pl.scan_parquet(path, glob=False)
            names = rows.collect_schema().names()
            wanted = [name for name in names if name in columns] or names
            for batch in rows.select(wanted).collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
                for fields in batch.iter_rows(named=True):
                    yield Row(next(numbers), fields)
        except pl.exceptions.PolarsError as error:
            yield Row(next(numbers), refuse("corrupt_file", f"not a readable parquet file: {str(error)[:200]}"))


@contextmanager
def _local_copy(url: str) -> Iterator[str]:
    fs, path = url_to_fs(url)
    if isinstance(fs, LocalFileSystem) and url.lower().endswith(".parquet"):
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:
        with open_stream(url) as stream:
            shutil.copyfileobj(stream, copy, 2**20)
        copy.flush()
        yield copy.name
