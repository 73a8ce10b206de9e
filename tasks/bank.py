"""A version of the template bank: where its objects lie, and how it is loaded (paper 3.2).

    bank/<version>/templates/part-N-*.parquet   templates, and rejected-N-*.parquet the merged ones
    bank/<version>/vectors/part-N.npy           exact vectors of their descriptions, in the same order
    bank/<version>/index/index.usearch          the approximate index, and settings.json it was built with
    bank/<version>/receipt.json, bank.json      written last, in this order
    bank/current.json                           the version that new runs use

Vectors and index are mapped from the store's own files on a local disk, else from copies in the system's folder for
temporary files, removed when the bank is dropped.
Not covered: a process that is killed leaves its copies to the system's clean-up.
"""

import io
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.neighbours import Neighbours, Vectors
from tasks.records import Bank, Receipt
from tasks.settings import IndexSettings
from tasks.storage import Store
from tasks.work import read_rows


@dataclass(frozen=True, eq=False)
class LoadedBank:
    """A bank ready for searching; row numbers of `templates` (schema `BANK`) are those of `neighbours`."""

    bank: Bank
    templates: pl.DataFrame
    neighbours: Neighbours


def templates_folder(version: str) -> str:
    """Folder of the templates' parts."""
    return f"bank/{version}/templates"


def write_vectors(store: Store, version: str, number: int, vectors: NDArray[np.floating[Any]]) -> None:
    """Publish the exact vectors of a part."""
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    store.write(_vectors_name(version, number), buffer.getvalue())


def write_index(store: Store, version: str, index: Any, settings: IndexSettings) -> None:
    """Publish a usearch index and the settings it is to be searched with."""
    store.write_record(_settings_name(version), settings)
    store.write(f"bank/{version}/index/index.usearch", bytes(index.save()))


def read_settings(store: Store, version: str) -> IndexSettings:
    """The settings that a version's index was built with."""
    return store.read_record(_settings_name(version), IndexSettings)


def read_vectors(store: Store, version: str, parts: int, copies: Path) -> Vectors:
    """The exact vectors of the first `parts` parts, mapped; `copies` is where a remote store's files are put."""
    paths = [store.fetch(_vectors_name(version, number), copies) for number in range(parts)]
    return Vectors([np.load(path, mmap_mode="r", allow_pickle=False) for path in paths])


def load_bank(store: Store, version: str) -> LoadedBank:
    """Load a published version.

    Raises:
        FileNotFoundError: when there is no such version, or an object of it is gone.
    """
    from usearch.index import Index

    bank = store.read_record(f"bank/{version}/bank.json", Bank)
    receipt = store.read_record(f"bank/{version}/receipt.json", Receipt)
    settings = read_settings(store, version)
    copies = Path(tempfile.mkdtemp(prefix="fineinstructions-bank-"))
    vectors = read_vectors(store, version, len(receipt.parts), copies)
    path = store.fetch(f"bank/{version}/index/index.usearch", copies)
    index = Index.restore(str(path), view=True, expansion_search=settings.expansion_search)
    templates = pl.concat(read_rows(store, templates_folder(version), receipt))
    loaded = LoadedBank(bank, templates, Neighbours(vectors, index))
    weakref.finalize(loaded, shutil.rmtree, copies, ignore_errors=True)
    return loaded


@lru_cache(maxsize=1)
def open_bank(store: Store, version: str) -> LoadedBank:
    """A version, loaded once in this process; another version replaces it."""
    return load_bank(store, version)


def _vectors_name(version: str, number: int) -> str:
    return f"bank/{version}/vectors/part-{number:05d}.npy"


def _settings_name(version: str) -> str:
    return f"bank/{version}/index/settings.json"
