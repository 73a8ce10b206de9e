"""What the embedder of passages is trained with: its loss, and batches of documents.

An item of the data set is a document with all of its instructions, so that a sentence is encoded once per batch.
Sentences are encoded shortest first in groups, so that little is padded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

TOGETHER = 32
"""Texts that are encoded at once."""


@dataclass(frozen=True)
class PassageItem:
    """A document: its instructions, its M sentences, the weights `[N, M]` of its passages, and targets `[Q, N]`.

    A row of targets sums to 1.
    """

    instructions: tuple[str, ...]
    sentences: tuple[str, ...]
    weights: Tensor
    targets: Tensor


class PassageLoss(nn.Module):
    """Cross-entropy between the targets and the cosines of instructions and all passages of the batch.

    Args:
        model: The sentence-transformers model.
        temperature: Of the softmax over the passages.
    """

    def __init__(self, model: Any, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(
        self,
        instructions: Sequence[Mapping[str, Tensor]],
        sentences: Sequence[Mapping[str, Tensor]],
        weights: Tensor,
        targets: Tensor,
    ) -> dict[str, Tensor]:
        """Loss of a batch with Q instructions, M sentences and N passages, under the name `loss`.

        Args:
            instructions: Tokens, in groups.
            sentences: Tokens, in groups.
            weights: `[N, M]`, of the sentences in the passages.
            targets: `[Q, N]`, how well each passage answers each instruction; rows sum to 1.
        """
        said, asked = self._embed(sentences), self._embed(instructions)
        # Only the encoder may compute in half precision.
        with torch.autocast(weights.device.type, enabled=False):
            cosines = asked @ normalize(weights @ said, dim=-1).T
            loss = -(targets * (cosines / self.temperature).log_softmax(dim=-1)).sum(dim=-1).mean()
        return {"loss": loss}

    def _embed(self, groups: Sequence[Mapping[str, Tensor]]) -> Tensor:
        vectors = [self.model(dict(group))["sentence_embedding"] for group in groups]
        return normalize(torch.cat(vectors).float(), dim=-1)


def collator(
    tokenize: Callable[[list[str]], Mapping[str, Tensor]],
) -> Callable[[Sequence[PassageItem]], dict[str, Any]]:
    """What makes the arguments of `PassageLoss.forward` out of a batch of documents."""

    def grouped(texts: Sequence[str]) -> tuple[list[Mapping[str, Tensor]], list[int]]:
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        ordered = [texts[number] for number in order]
        return [tokenize(ordered[at : at + TOGETHER]) for at in range(0, len(order), TOGETHER)], order

    def collate(items: Sequence[PassageItem]) -> dict[str, Any]:
        instructions, asked = grouped([text for item in items for text in item.instructions])
        sentences, said = grouped([text for item in items for text in item.sentences])
        return {
            "instructions": instructions,
            "sentences": sentences,
            "weights": _diagonal([item.weights for item in items])[:, said],
            "targets": _diagonal([item.targets for item in items])[asked],
        }

    return collate


def _diagonal(blocks: Sequence[Tensor]) -> Tensor:
    joined: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return joined
