"""Fine-tuning of the embedder that finds the passage of a document that answers an instruction (`models.passages`).

Of all passages of a batch of documents the instruction is pulled to that of its own document which shares most with
the excerpts of its labelled answer, and pushed away from the others: those of the same document are near and do not
answer. Passages are those of production, with vectors made of their sentences in the same way. What is trained is a
LoRA adapter on all linear layers of the encoder.

Not covered: how far a passage may be to count as an answer; that bound is set by reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.anchors import Offer
from models.errors import UsageError
from models.passages import candidates
from models.sentences import Span
from models.settings import PassageSettings
from models.training.encoders import EncoderSettings, fit_encoder, open_encoder, save_encoder

LEAST_SHARED = 0.3
"""F1 with the labelled excerpts that the best passage of a document reaches, or the label teaches nothing."""

SHARPNESS = 8
"""Power of the F1 in the targets: a passage that shares half as much is hardly right."""


class PassageTrainingSettings(EncoderSettings):
    """How the embedder of passages is fine-tuned."""

    learning_rate: float = Field(4e-4, gt=0)
    rank: int = Field(16, ge=1)
    lora_alpha: int = Field(32, ge=1)
    epochs: int = Field(3, ge=1)
    temperature: float = Field(0.05, gt=0, description="Of the softmax over the passages of a batch.")
    batch_documents: int = Field(4, ge=1, description="Documents of a batch, each with all of its instructions.")


@dataclass(frozen=True)
class QuotingLabel:
    """An instruction, and the spans of the document, in code points, that a labelled answer quotes."""

    document: str
    instruction: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class PassageTraining:
    """What a training did: mean loss of every epoch, and labels and documents used."""

    losses: tuple[float, ...]
    labels: int
    documents: int


def shared(passage: Span, spans: Sequence[Span]) -> float:
    """F1 of the characters of a passage and of the spans, which do not overlap; 0 to 1."""
    common = sum(max(0, min(passage[1], end) - max(passage[0], start)) for start, end in spans)
    return 2 * common / (passage[1] - passage[0] + sum(end - start for start, end in spans))


def shares(labels: Sequence[QuotingLabel], passages: Sequence[Offer]) -> NDArray[np.float32]:
    """`shared` of every label of a document and every passage, `[Q, N]`."""
    found = [[shared(passage.span, label.spans) for passage in passages] for label in labels]
    return np.array(found, dtype=np.float32).reshape(len(labels), len(passages))


def train_passages(
    labels: Sequence[QuotingLabel], passages: PassageSettings, settings: PassageTrainingSettings, folder: Path
) -> PassageTraining:
    """Write an adapter for `passages.embedder`, whose own adapter is left out, to `folder`.

    Raises:
        UsageError: no label can be learned, the base cannot be had, or a package that training needs is missing.
    """
    import torch

    from models.training.passage_loss import PassageItem, PassageLoss, collator

    items: list[PassageItem] = []
    for document, group in groupby(sorted(labels, key=lambda label: label.document), key=lambda label: label.document):
        found = candidates(document, (0, len(document)), passages)
        asked = list(group)
        f1 = shares(asked, found.offers)
        taught = [number for number, row in enumerate(f1) if row.max(initial=0) >= LEAST_SHARED]
        if taught:
            likely = (f1[taught] / f1[taught].max(axis=1, keepdims=True)) ** SHARPNESS
            targets = torch.from_numpy(likely / likely.sum(axis=1, keepdims=True))
            instructions = tuple(asked[number].instruction for number in taught)
            items.append(PassageItem(instructions, found.sentences, torch.from_numpy(found.weights), targets))
    if not items:
        raise UsageError(f"expected labelled answers that passages can have, found none of {len(labels)}; add labels")
    model = open_encoder(passages.embedder, settings)
    loss, collate = PassageLoss(model, settings.temperature), collator(model.preprocess)
    losses = fit_encoder(
        loss, items, collate, settings, batch=settings.batch_documents, epochs=settings.epochs, half=True
    )
    save_encoder(model, folder, passages.embedder.model)
    return PassageTraining(tuple(losses), sum(len(item.instructions) for item in items), len(items))
