"""Vectors of earlier versions of the bank, so that no description is embedded twice by the same embedder.

Taken over bit by bit, so that a version made from others equals one made at once.
Not covered: versions whose exact vectors are kept in another precision; their descriptions are embedded again.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.bank import read_settings, read_vectors, templates_folder
from tasks.neighbours import Vectors, stored_dtype
from tasks.records import Bank, Receipt
from tasks.storage import Store
from tasks.work import read_rows

logger = logging.getLogger(__name__)

DESCRIPTION = "compatible_document_description"

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Descriptions to vectors `[N, d]` of length 1."""


@dataclass(frozen=True)
class Known:
    """Where the vector of each known description is (`version` and `place` in it), and the versions' vectors."""

    places: pl.DataFrame
    versions: tuple[Vectors, ...]
    dtype: np.dtype[Any]

    def vectors_of(self, bank: pl.DataFrame, embed: Embed) -> NDArray[Any]:
        """Vectors `[N, d]` of a part's descriptions (schema `BANK`): only those not known are embedded."""
        placed = bank.select(DESCRIPTION).join(self.places, on=DESCRIPTION, how="left", maintain_order="left")
        version, place = (placed[name].fill_null(-1).to_numpy() for name in ("version", "place"))
        missing = np.flatnonzero(version < 0)
        found = [(missing, embed(placed[DESCRIPTION].gather(missing).to_list()))] if len(missing) else []
        for number in np.unique(version[version >= 0]):
            here = np.flatnonzero(version == number)
            found.append((here, self.versions[number].gather(place[here])))
        vectors = np.empty((len(bank), found[0][1].shape[1]), dtype=self.dtype)
        for rows, some in found:
            vectors[rows] = some
        return vectors


def find_known(store: Store, embedder_digest: str, dtype: np.dtype[Any], copies: Path) -> Known:
    """The vectors of all published versions in the store that the same embedder made; the newest version counts first.

    Args:
        store: Where the versions are.
        embedder_digest: Digest of everything that decides a vector.
        dtype: Precision wanted; versions in another one are left out.
        copies: Folder for files of a store that is not on this machine; must outlive the result.
    """
    names = [name for name in store.find("bank") if name.endswith("/bank.json")]
    banks = sorted(store.read_records(names, Bank), key=lambda bank: bank.created, reverse=True)
    places = [pl.DataFrame(schema={DESCRIPTION: pl.String, "version": pl.Int64, "place": pl.Int64})]
    versions: list[Vectors] = []
    for bank in banks:
        if bank.embedder_digest != embedder_digest or stored_dtype(read_settings(store, bank.version)) != dtype:
            continue
        receipt = store.read_record(f"bank/{bank.version}/receipt.json", Receipt)
        try:
            descriptions = pl.concat(read_rows(store, templates_folder(bank.version), receipt, [DESCRIPTION]))
        except FileNotFoundError as error:
            logger.warning("bank %s lacks files, its vectors are not taken over: %s", bank.version, error)
            continue
        place = pl.int_range(pl.len(), dtype=pl.Int64).alias("place")
        places.append(descriptions.with_columns(pl.lit(len(versions), pl.Int64).alias("version"), place))
        versions.append(read_vectors(store, bank.version, len(receipt.parts), copies))
    known = pl.concat(places).unique(DESCRIPTION, keep="first", maintain_order=True)
    return Known(known, tuple(versions), dtype)
