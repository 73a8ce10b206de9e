"""The loss of the matching embedder: library losses on Gaussian-pooled documents (paper 3.2).

Not covered: anything but sentence-transformers models of a transformer and mean pooling.
"""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, CosineSimilarityLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from models.pooling import GaussianPooling


class PooledLoss(nn.Module):
    """Loss between one embedding of each document and the mean-pooled embedding of each description.

    Args:
        model: The sentence-transformers model; its first module makes the token embeddings.
        pooling: Pools the documents.
        kind: `cosine` is squared error between cosine and label, `cosent` ranks the pairs of a batch by label.
        ranking_weight: Weight of the in-batch ranking loss beside it.
        temperature: Of the in-batch ranking loss.
    """

    def __init__(
        self,
        model: Any,
        pooling: GaussianPooling,
        kind: Literal["cosine", "cosent"],
        ranking_weight: float,
        temperature: float,
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
        first = torch.stack([(of_pair == number).nonzero()[0, 0] for number in range(len(ids))])
        states, mask = self._tokens({name: documents[name][first] for name in ("input_ids", "attention_mask")})
        left = normalize(self.pooling(states[of_pair], mask[of_pair], chunk), dim=-1)
        states, mask = self._tokens({name: descriptions[name] for name in ("input_ids", "attention_mask")})
        right = normalize(self.pooling(states, mask, torch.zeros_like(chunk)), dim=-1)
        loss: Tensor = self._labelled.compute_loss_from_embeddings([left, right], compatible.float())
        if self.ranking_weight and compatible.any():
            loss = loss + self.ranking_weight * self._ranking(left @ right.T, of_pair, compatible.bool())
        return loss

    def _ranking(self, cosines: Tensor, of_pair: Tensor, compatible: Tensor) -> Tensor:
        """Cross-entropy of each compatible description among those of the batch that are not known to fit as well."""
        others = of_pair[:, None] == of_pair[None, :]
        others &= compatible[None, :] & ~torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
        logits = (cosines / self.temperature).masked_fill(others, float("-inf"))
        targets = torch.arange(len(cosines), device=cosines.device)
        return cross_entropy(logits[compatible], targets[compatible])

    def _tokens(self, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        output = self.model[0](features)
        return output["token_embeddings"], output["attention_mask"]
