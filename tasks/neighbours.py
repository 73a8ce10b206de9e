"""Nearest descriptions: exact vectors and, over them, usearch's approximate index (paper 3.2).

The index only proposes; what counts is the cosine computed from the exact vectors. Rows are numbers from 0, the same
in the index and the vectors. Everything here is in memory or mapped; nothing is written.
Not covered: removing or replacing rows; a change makes a new version of the bank.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.settings import IndexSettings

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

BLOCK = 8192
QUERIES = 256
"""Queries scored at once: bounds the candidates' vectors in memory."""

SERIAL = 100_000
"""Up to this size one thread builds the index, so that the same vectors give the same index."""

CANDIDATES = 32
NEIGHBOURS = 10


def stored_dtype(settings: IndexSettings) -> np.dtype[Any]:
    """Type of the exact vectors beside an index: 32 bits when the index has them, else 16."""
    return np.dtype(np.float32 if settings.dtype == "f32" else np.float16)


class Vectors:
    """Exact vectors in parts, each `[n, d]`, in memory or mapped from files."""

    def __init__(self, parts: Sequence[NDArray[np.floating[Any]]]) -> None:
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.parts else 0

    @property
    def dimensions(self) -> int:
        """Length d of a vector."""
        return int(self.parts[0].shape[1])

    def gather(self, rows: Ids) -> Floats:
        """The vectors of some rows as they are stored, `[len(rows), d]`."""
        gathered = np.empty((len(rows), self.dimensions), dtype=np.float32)
        places = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(places):
            here = places == number
            start = self._ends[number] - len(self.parts[number])
            gathered[here] = self.parts[number][rows[here] - start]
        return gathered

    def take(self, rows: Ids) -> Floats:
        """The vectors of some rows, `[*rows.shape, d]`, of length 1."""
        return _unit(self.gather(rows.ravel())).reshape(*rows.shape, self.dimensions)

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """All vectors in order, in blocks: number of the first row, and up to `BLOCK` vectors of length 1."""
        row = 0
        for part in self.parts:
            for start in range(0, len(part), BLOCK):
                block = _unit(part[start : start + BLOCK].astype(np.float32))
                yield row, block
                row += len(block)


def _unit(vectors: Floats) -> Floats:
    # Vectors kept in 16 bits have lost a little of their length.
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return scaled


def build_index(vectors: Vectors, settings: IndexSettings) -> Any:
    """A usearch index over all vectors, keys being their rows."""
    from usearch.index import Index

    index = Index(
        ndim=vectors.dimensions,
        metric="cos",
        dtype=settings.dtype,
        connectivity=settings.connectivity,
        expansion_add=settings.expansion_add,
        expansion_search=settings.expansion_search,
    )
    for start, block in vectors.blocks():
        index.add(np.arange(start, start + len(block)), block, threads=1 if len(vectors) <= SERIAL else 0)
    return index


class Neighbours:
    """Search over the descriptions of a bank."""

    def __init__(self, vectors: Vectors, index: Any) -> None:
        self.vectors = vectors
        self.index = index

    def search(self, queries: Floats, candidates: int) -> tuple[Ids, Floats]:
        """The nearest rows that the index proposes, re-scored exactly.

        Args:
            queries: `[N, d]`, of length 1.
            candidates: How many rows are wanted per query.

        Returns:
            Rows and exact cosines, both `[N, C]` with C at most `candidates`, best first, ties by row. Where the index
            proposed fewer, the row is -1 and the cosine -inf.
        """
        count = min(candidates, len(self.vectors))
        rows = np.full((len(queries), count), -1, dtype=np.int64)
        cosines = np.full((len(queries), count), -np.inf, dtype=np.float32)
        for start in range(0, len(queries), QUERIES):
            some = slice(start, start + QUERIES)
            rows[some], cosines[some] = self._search(queries[some], count)
        return rows, cosines

    def _search(self, queries: Floats, count: int) -> tuple[Ids, Floats]:
        # usearch answers a single query in another shape than several.
        found = self.index.search(queries if len(queries) > 1 else np.repeat(queries, 2, axis=0), count)
        proposed = np.arange(count) < found.counts[: len(queries), None]
        rows = np.where(proposed, found.keys[: len(queries)].astype(np.int64), -1)
        exact = np.einsum("nd,ncd->nc", queries, self.vectors.take(np.maximum(rows, 0)))
        cosines = np.where(proposed, exact, -np.inf).astype(np.float32)
        order = np.lexsort((rows, -cosines))
        return np.take_along_axis(rows, order, -1), np.take_along_axis(cosines, order, -1)

    def best(self, queries: Floats, own: Ids, count: int) -> Floats:
        """Cosines of the true nearest rows, by exhaustive search, `[N, count]`; `own` are rows left out, `[N]`."""
        best = np.full((len(queries), count), -np.inf, dtype=np.float32)
        for start, block in self.vectors.blocks():
            cosines = queries @ block.T
            here = np.flatnonzero((own >= start) & (own < start + len(block)))
            cosines[here, own[here] - start] = -np.inf
            best = -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :count]
        return best


def recall(found: Floats, exact: Floats) -> float:
    """Share of the true neighbours that were found.

    Args:
        found: Cosines of what was found, `[N, k]`.
        exact: Cosines of the true k nearest, `[N, k]`; among equally near ones any will do.
    """
    return float((found >= exact.min(axis=1, keepdims=True) - 1e-5).mean())


def measure_recall(neighbours: Neighbours, sample: int) -> float:
    """Recall@10 after re-scoring, with a sample of the bank's own vectors as queries, themselves left out."""
    size = len(neighbours.vectors)
    count = min(NEIGHBOURS, size - 1)
    if count < 1:
        return 1.0
    own = np.sort(np.random.default_rng(0).choice(size, min(sample, size), replace=False))
    queries = neighbours.vectors.take(own)
    rows, cosines = neighbours.search(queries, CANDIDATES)
    others = -np.sort(-np.where(rows == own[:, None], -np.inf, cosines), axis=1)[:, :count]
    return recall(others, neighbours.best(queries, own, count))
