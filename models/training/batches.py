"""Batches of pairs: all pairs of a document together, documents of like length together.

A document is then encoded once per batch, and little is padded.
"""

from collections.abc import Iterator
from typing import Any

import torch
from sentence_transformers.base.sampler import DefaultBatchSampler

NEIGHBOURS = 8
"""Batches that are sorted by length among themselves; more would make them alike from epoch to epoch."""


class DocumentBatches(DefaultBatchSampler):
    """Batches of `batch_size` documents with all of their rows, shuffled anew every epoch.

    Args:
        dataset: Its column `document` says which rows belong together.
        batch_size: Documents of a batch; the last batch may have fewer.
        seed: With the epoch, decides the order.
    """

    def __init__(self, dataset: Any, batch_size: int, seed: int = 0, **_: Any) -> None:
        super().__init__(dataset, batch_size=batch_size, drop_last=False, seed=seed)
        self._rows: dict[str, list[int]] = {}
        for row, document in enumerate(dataset["document"]):
            self._rows.setdefault(document, []).append(row)

    def __len__(self) -> int:
        return -(-len(self._rows) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        documents = list(self._rows)
        shuffled = [documents[place] for place in torch.randperm(len(documents), generator=generator)]
        span = self.batch_size * NEIGHBOURS
        batches: list[list[str]] = []
        for start in range(0, len(shuffled), span):
            near = sorted(shuffled[start : start + span], key=len)
            batches += [near[first : first + self.batch_size] for first in range(0, len(near), self.batch_size)]
        for place in torch.randperm(len(batches), generator=generator):
            yield [row for document in batches[place] for row in self._rows[document]]
