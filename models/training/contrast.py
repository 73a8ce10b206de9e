"""Fine-tuning of the matching embedder on labelled pairs of document and description (paper 3.2).

Round 1 pulls the document's global embedding to the descriptions of compatible templates and away from those of
incompatible ones. Round 2 does the same with the local embedding, pooled by `models.pooling`, of one chunk per pair:
of a compatible pair the chunk nearest to its answer, of an incompatible one the embedding that is nearest to the
description after round 1. What is trained is a LoRA adapter on all linear layers of the encoder.

The loss is the paper's (squared error between cosine and the 0/1 label) or CoSENT, and on request a ranking loss that
sets each compatible description apart from all other descriptions of the batch. A document is encoded once per batch,
together with all of its pairs. A seed decides everything that is random.

The adapter is written when training is complete; a failure before that leaves nothing. A document is seen up to the
model's window: what is cut off is counted, and a compatible pair whose answer lies there is left out of round 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from models.errors import UsageError
from models.settings import EmbedderSettings
from models.training.encoders import EncoderSettings, fit_encoder, open_encoder, save_encoder


class ContrastSettings(EncoderSettings):
    """How the matching embedder is fine-tuned; the paper publishes only the loss and the two rounds."""

    loss: Literal["cosine", "cosent"] = Field("cosine", description="`cosine` is the paper's.")
    ranking_weight: float = Field(0.0, ge=0, description="Weight of the in-batch ranking loss; 0 = none (paper).")
    temperature: float = Field(0.05, gt=0, description="Of the in-batch ranking loss.")
    round_one_epochs: int = Field(3, ge=0)
    round_two_epochs: int = Field(3, ge=0)
    batch_documents: int = Field(8, ge=1, description="Documents of a batch, each with all of its pairs.")


@dataclass(frozen=True)
class LabelledPair:
    """A document, a compatible document description, and whether they are compatible.

    `answer_at` is the place of the answer in the document in code points, None when there is none.
    """

    document: str
    description: str
    compatible: bool
    answer_at: int | None = None


@dataclass(frozen=True)
class Training:
    """What a training did: mean loss of every epoch of both rounds, pairs used, documents seen only in part."""

    losses: tuple[float, ...]
    pairs: int
    documents: int
    documents_cut: int
    answers_cut: int


def chunk_at(share: float, chunks: int) -> int:
    """Number 1 to K of the chunk whose centre k / (K+1) is nearest to a place in a document, 0 to 1 (paper App. B)."""
    return min(range(1, chunks + 1), key=lambda chunk: abs(chunk / (chunks + 1) - share))


class ContrastTrainer:
    """An embedder under training.

    Args:
        embedder: The base model and its pooling.
        settings: How to train.

    Raises:
        UsageError: the base cannot be had, or a package that training needs is missing.
    """

    def __init__(self, embedder: EmbedderSettings, settings: ContrastSettings) -> None:
        from models.pooling import GaussianPooling

        self._embedder = embedder
        self._settings = settings
        self.pooling = GaussianPooling(embedder.chunks, embedder.sigma, embedder.alpha)
        self.model = open_encoder(embedder, settings)

    def fit(self, pairs: Sequence[LabelledPair]) -> Training:
        """Train both rounds on the pairs; of a document cut at the window, its visible part.

        Raises:
            UsageError: there is only one kind of label.
        """
        if len({pair.compatible for pair in pairs}) < 2:
            raise UsageError(f"expected compatible and incompatible pairs, found {len(pairs)} of one kind; add labels")
        visible = self._visible(pairs)
        kept = [pair for pair, original in zip(visible, pairs, strict=True) if not _lost(pair, original)]
        losses = self._round([(pair, 0) for pair in visible], self._settings.round_one_epochs)
        if self._settings.round_two_epochs:
            chunks = self._chunks(kept)
            losses += self._round(list(zip(kept, chunks, strict=True)), self._settings.round_two_epochs)
        cut = {pair.document for pair, seen in zip(pairs, visible, strict=True) if pair.document != seen.document}
        return Training(
            losses=tuple(losses),
            pairs=len(pairs),
            documents=len({pair.document for pair in pairs}),
            documents_cut=len(cut),
            answers_cut=len(visible) - len(kept),
        )

    def save(self, folder: Path, base: str) -> None:
        """Write the adapter in peft's format, as float32 safetensors; `base` is the name it gives its base model."""
        save_encoder(self.model, folder, base)

    def _visible(self, pairs: Sequence[LabelledPair]) -> list[LabelledPair]:
        """The pairs with their documents cut at the window."""
        documents = list(dict.fromkeys(pair.document for pair in pairs))
        encoded = self.model.tokenizer(
            documents, truncation=True, max_length=self._embedder.window_tokens, return_offsets_mapping=True
        )
        ends = (max(end for _, end in offsets) for offsets in encoded["offset_mapping"])
        seen = {
            document: document if not document[end:].strip() else document[:end]
            for document, end in zip(documents, ends, strict=True)
        }
        return [_within(pair, seen[pair.document]) for pair in pairs]

    def _chunks(self, pairs: Sequence[LabelledPair]) -> list[int]:
        """The embedding of each pair's document that round 2 trains."""
        return [
            nearest if pair.answer_at is None else chunk_at(pair.answer_at / len(pair.document), self.pooling.chunks)
            for pair, nearest in zip(pairs, self._nearest(pairs), strict=True)
        ]

    def _nearest(self, pairs: Sequence[LabelledPair]) -> list[int]:
        """Number 0 to K of the document's embedding that is nearest to the description by the model as it is now."""
        import torch
        from torch.nn.functional import normalize

        texts = list(dict.fromkeys(text for pair in pairs for text in (pair.document, pair.description)))
        tokens = self.model.encode(
            texts, output_value="token_embeddings", show_progress_bar=False, convert_to_tensor=True
        )
        vectors = {
            text: normalize(self.pooling(states[None], torch.ones(1, len(states), device=states.device))[0], dim=-1)
            for text, states in zip(texts, tokens, strict=True)
        }
        return [int((vectors[pair.document] @ vectors[pair.description][0]).argmax()) for pair in pairs]

    def _round(self, rows: Sequence[tuple[LabelledPair, int]], epochs: int) -> list[float]:
        """Train on the pairs, each with the number of its document's embedding; the mean loss of every epoch."""
        from models.training.pooled_loss import PooledLoss, by_document, collator

        settings = self._settings
        loss = PooledLoss(self.model, self.pooling, settings.loss, settings.ranking_weight, settings.temperature)
        items, collate = by_document(rows), collator(self.model.preprocess)
        return fit_encoder(loss, items, collate, settings, batch=settings.batch_documents, epochs=epochs)


def _within(pair: LabelledPair, visible: str) -> LabelledPair:
    """The pair with the part of its document that the model sees, and its answer if it lies there."""
    seen = pair.answer_at is not None and pair.answer_at < len(visible)
    return replace(pair, document=visible, answer_at=pair.answer_at if seen else None)


def _lost(pair: LabelledPair, original: LabelledPair) -> bool:
    return original.answer_at is not None and pair.answer_at is None
