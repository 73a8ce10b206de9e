"""What the matching embedder is trained with: its loss, and batches by document.

An item of the data set is a document with all of its pairs, so that it is encoded once per batch.
Not covered: anything but models of a transformer and mean pooling.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, CosineSimilarityLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from models.pooling import GaussianPooling

if TYPE_CHECKING:
    from models.training.contrast import LabelledPair

Row = tuple["LabelledPair", int]
"""A pair, and the number of its document's embedding that is trained: 0 = global, 1 to K = local."""


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

    def forward(
        self, documents: Mapping[str, Tensor], descriptions: Mapping[str, Tensor], labels: Tensor
    ) -> dict[str, Tensor]:
        """Loss of a batch of B pairs, under the name `loss`.

        Args:
            documents: Tokens `[B, T]` of the documents; equal documents are encoded once.
            descriptions: Tokens of the descriptions.
            labels: `[B, 2]` integers: compatible or not, and the document's embedding from 0 (global) to K.
        """
        compatible, chunk = labels.unbind(dim=1)
        ids, of_pair = torch.unique(documents["input_ids"], dim=0, return_inverse=True)
        mask = documents["attention_mask"][[int((of_pair == number).nonzero()[0]) for number in range(len(ids))]]
        states = self._states(ids, mask)[of_pair]
        left = normalize(self.pooling(states, documents["attention_mask"], chunk), dim=-1)
        states = self._states(descriptions["input_ids"], descriptions["attention_mask"])
        right = normalize(self.pooling(states, descriptions["attention_mask"], torch.zeros_like(chunk)), dim=-1)
        loss: Tensor = self._labelled.compute_loss_from_embeddings([left, right], compatible.float())
        if self.ranking_weight and compatible.any():
            _, described = torch.unique(descriptions["input_ids"], dim=0, return_inverse=True)
            fitting = _fitting(of_pair, described, compatible.bool())
            loss = loss + self.ranking_weight * self._ranking(left @ right.T, fitting, compatible.bool())
        return {"loss": loss}

    def _ranking(self, cosines: Tensor, fitting: Tensor, compatible: Tensor) -> Tensor:
        """Cross-entropy of each compatible description among those of the batch that are not known to fit as well."""
        others = fitting & ~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
        logits = (cosines / self.temperature).masked_fill(others, float("-inf"))
        targets = torch.arange(len(cosines), device=cosines.device)
        return cross_entropy(logits[compatible], targets[compatible])

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = self.model[0]({"input_ids": ids, "attention_mask": mask})["token_embeddings"]
        return states


def _fitting(document: Tensor, description: Tensor, compatible: Tensor) -> Tensor:
    """Whether a pair of the batch says that the row's document and the column's description fit, `[B, B]`.

    Args:
        document: `[B]`, numbers of the pairs' documents.
        description: `[B]`, numbers of their descriptions.
        compatible: `[B]`, whether they fit.
    """
    known = compatible.new_zeros(len(document), len(description))
    known[document[compatible], description[compatible]] = True
    return known[document][:, description]


def by_document(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each document, in the order of their first ones."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0].document, []).append(row)
    return list(found.values())


def collator(
    tokenize: Callable[[list[str]], Mapping[str, Tensor]],
) -> Callable[[Sequence[Sequence[Row]]], dict[str, Any]]:
    """What makes the arguments of `PooledLoss.forward` out of a batch of documents."""

    def collate(documents: Sequence[Sequence[Row]]) -> dict[str, Any]:
        rows = [row for document in documents for row in document]
        return {
            "documents": tokenize([pair.document for pair, _ in rows]),
            "descriptions": tokenize([pair.description for pair, _ in rows]),
            "labels": torch.tensor([[int(pair.compatible), chunk] for pair, chunk in rows]),
        }

    return collate
