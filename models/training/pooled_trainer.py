"""What the matching embedder's training adds to the trainer of sentence-transformers: loss, batches and a quiet log.

Not covered: anything but models of a transformer and mean pooling.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, CosineSimilarityLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import PrinterCallback

from models.pooling import GaussianPooling

logger = logging.getLogger(__name__)

NEIGHBOURS = 8
"""Batches that are sorted by length among themselves; more would make them alike from epoch to epoch."""


class PooledLoss(nn.Module):
    """Loss between one embedding of each document and the mean-pooled embedding of each description.

    Args:
        model: The sentence-transformers model; its first module makes the token embeddings.
        pooling: Pools the documents.
        kind: `cosine` is squared error between cosine and label (paper 3.2), `cosent` ranks a batch's pairs by label.
        ranking_weight: Weight of the in-batch ranking loss beside it.
        temperature: Of the in-batch ranking loss.
    """

    def __init__(
        self,
        model: Any,
        pooling: GaussianPooling,
        kind: Literal["cosine", "cosent"] = "cosine",
        ranking_weight: float = 0.0,
        temperature: float = 0.05,
    ) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.ranking_weight = ranking_weight
        self.temperature = temperature
        self._labelled = CosineSimilarityLoss(model) if kind == "cosine" else CoSENTLoss(model)

    def forward(self, features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Loss of a batch of B pairs.

        Args:
            features: Tokens of the documents, then of the descriptions; equal documents are encoded once.
            labels: `[B, 2]` integers: compatible or not, and the document's embedding from 0 (global) to K.
        """
        documents, descriptions = features
        compatible, chunk = labels.unbind(dim=1)
        ids, of_pair = torch.unique(documents["input_ids"], dim=0, return_inverse=True)
        mask = documents["attention_mask"][[int((of_pair == number).nonzero()[0]) for number in range(len(ids))]]
        states = self._states(ids, mask)[of_pair]
        left = normalize(self.pooling(states, documents["attention_mask"], chunk), dim=-1)
        states = self._states(descriptions["input_ids"], descriptions["attention_mask"])
        right = normalize(self.pooling(states, descriptions["attention_mask"], torch.zeros_like(chunk)), dim=-1)
        loss: Tensor = self._labelled.compute_loss_from_embeddings([left, right], compatible.float())
        if self.ranking_weight and compatible.any():
            loss = loss + self.ranking_weight * self._ranking(left @ right.T, of_pair, compatible.bool())
        return loss

    def _ranking(self, cosines: Tensor, of_pair: Tensor, compatible: Tensor) -> Tensor:
        """Cross-entropy of each compatible description among those of the batch that are not known to fit as well."""
        others = (of_pair[:, None] == of_pair[None, :]) & compatible[None, :]
        others &= ~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
        logits = (cosines / self.temperature).masked_fill(others, float("-inf"))
        targets = torch.arange(len(cosines), device=cosines.device)
        return cross_entropy(logits[compatible], targets[compatible])

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = self.model[0]({"input_ids": ids, "attention_mask": mask})["token_embeddings"]
        return states


class DocumentBatches(DefaultBatchSampler):
    """Batches of `batch_size` documents with all of their rows, shuffled anew every epoch.

    A document is then encoded once per batch; documents of like length come together, so that little is padded.

    Args:
        dataset: Its column `document` says which rows belong together.
        batch_size: Documents of a batch; the last one may have fewer.
        seed: With the epoch, decides the order.
    """

    def __init__(self, dataset: Any, batch_size: int, seed: int = 0) -> None:
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


class PooledTrainer(SentenceTransformerTrainer):
    """A trainer with batches by document, and a log in place of prints; the model card is ours to write."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.remove_callback(PrinterCallback)

    def get_batch_sampler(self, dataset: Any, batch_size: int, *args: Any, **kwargs: Any) -> DocumentBatches:
        """Batches of `batch_size` documents."""
        return DocumentBatches(dataset, batch_size, self.args.seed)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: it would look for the base model on the hub and put training texts into the card."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write the mean loss of an epoch to the log."""
        super().log(logs, start_time)
        if "loss" in logs:
            logger.info("epoch %d of %d: loss %.4f", round(logs["epoch"]), self.args.num_train_epochs, logs["loss"])
