"""Texts to vectors: a sentence-transformers model under Gaussian pooling (paper 3.2, App. B).

A text longer than the model's window is seen in overlapping windows. Every token's embedding is taken from the window
in which the token is most central, and pooled by its place in the whole text; nothing is cut off. A text that fits
one window gives exactly the mean-pooled embedding of sentence-transformers as its global vector. The tokens of long
texts are never held together: each window adds its share to the weighted sums.

Nothing is written, so a failure leaves nothing behind.
Not covered: prompts ("query: ...") and layers after the pooling; a model that has such layers is refused.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.checkpoints import identify, resolve
from models.errors import UsageError
from models.settings import EmbedderSettings

if TYPE_CHECKING:
    from torch import Tensor


NUMBERED_BEHIND_PADDING = frozenset({"camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"})
"""Types of models that count positions from behind the padding token's id on, so that they see fewer than they have."""


@dataclass(frozen=True)
class Window:
    """Tokens `start:end` of a text, seen at once; the embeddings of `keep_start:keep_end` are taken from here."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def cut_windows(tokens: int, size: int, overlap: int) -> list[Window]:
    """Evenly spread windows over a text, neighbours sharing at least `overlap` tokens.

    Args:
        tokens: Tokens of the text, without special ones.
        size: Tokens of a window, without special ones.
        overlap: Least number of tokens that neighbours share; smaller than `size`.

    Returns:
        Windows of `size` tokens (one of `tokens` where the text fits); what they keep partitions the text, and every
        token is kept where its distance to the window's centre is least.
    """
    if tokens <= size:
        return [Window(0, tokens, 0, tokens)]
    steps = -(-(tokens - size) // (size - overlap))
    starts = [round(step * (tokens - size) / steps) for step in range(steps + 1)]
    # Between the centres of two windows of one size, the nearer centre changes half-way.
    cuts = [0, *((left + right + size) // 2 for left, right in pairwise(starts)), tokens]
    return [Window(start, start + size, *kept) for start, kept in zip(starts, pairwise(cuts), strict=True)]


@dataclass(frozen=True)
class _Piece:
    """What the model sees of text number `text` at once, and the `[K+1, len(ids)]` weights of these tokens."""

    text: int
    ids: list[int]
    weights: "Tensor"


def _batches(pieces: Iterable[_Piece], batch_tokens: int) -> Iterator[list[_Piece]]:
    """Longest first, so that little is padded and too big a batch shows at once; at least one piece each."""
    batch: list[_Piece] = []
    for piece in sorted(pieces, key=lambda piece: len(piece.ids), reverse=True):
        if batch and (len(batch) + 1) * len(batch[0].ids) > batch_tokens:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


class Embedder:
    """An embedding model, loaded on the GPU if there is one.

    Args:
        settings: Model, pooling and windows.

    Raises:
        UsageError: the model is missing, is not a sentence-transformers model of a form this class understands, or
            the windows do not suit it.
    """

    def __init__(self, settings: EmbedderSettings) -> None:
        import torch

        from models.pooling import GaussianPooling

        self.settings = settings
        self.identity = identify(settings.model, settings.revision, settings.adapter)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._transformer = _load_transformer(settings).to(self._device).eval()
        self._pooling = GaussianPooling(settings.chunks, settings.sigma, settings.alpha)
        self._tokenizer = self._transformer.tokenizer
        self._prefix, self._suffix = _special_tokens(self._tokenizer)
        self._window = settings.window_tokens - len(self._prefix) - len(self._suffix)
        self._check_windows()

    @property
    def dimensions(self) -> int:
        """Length d of a vector."""
        return int(self._transformer.get_embedding_dimension())

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Mean-pooled, L2-normalised vectors of descriptions, sentences and instructions, `[N, d]`."""
        return self._embed(texts, locals_too=False)[:, 0]

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Global and K local L2-normalised vectors of whole documents, `[N, K+1, d]` (paper 3.2)."""
        return self._embed(texts, locals_too=True)

    def _embed(self, texts: Sequence[str], locals_too: bool) -> NDArray[np.float32]:
        import torch

        rows = self.settings.chunks + 1 if locals_too else 1
        sums = np.zeros((len(texts), rows, self.dimensions), dtype=np.float32)
        with torch.inference_mode():
            for batch in _batches(self._pieces(texts, rows), self.settings.batch_tokens):
                np.add.at(sums, [piece.text for piece in batch], self._pool(batch))
        norms = np.linalg.norm(sums, axis=-1, keepdims=True)
        normalised: NDArray[np.float32] = sums / np.maximum(norms, np.finfo(np.float32).tiny)
        return normalised

    def _pieces(self, texts: Sequence[str], rows: int) -> Iterator[_Piece]:
        import torch
        from torch.nn.functional import pad

        @cache
        def weights_of(length: int) -> "Tensor":
            return self._pooling.weights(torch.ones(1, length))[0, :rows]

        lead, trail = len(self._prefix), len(self._suffix)
        for text, ids in enumerate(self._tokenize(texts)):
            weights = weights_of(lead + len(ids) + trail)
            for window in cut_windows(len(ids), self._window, self.settings.overlap_tokens):
                seen = [*self._prefix, *ids[window.start : window.end], *self._suffix]
                # The first window speaks for the leading special tokens, the last one for the trailing ones.
                first = 0 if window.start == 0 else lead + window.keep_start
                last = lead + window.keep_end + (trail if window.end == len(ids) else 0)
                margins = (first - window.start, window.start + len(seen) - last)
                if seen:
                    yield _Piece(text, seen, pad(weights[:, first:last], margins))

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts),
            add_special_tokens=False,
            truncation=False,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _pool(self, batch: list[_Piece]) -> NDArray[np.float32]:
        """Each piece's share of its text's weighted sums, `[B, K+1, d]`."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        ids = pad_sequence([torch.tensor(piece.ids) for piece in batch], True, self._tokenizer.pad_token_id or 0)
        weights = pad_sequence([piece.weights.T for piece in batch], True).transpose(1, 2)
        lengths = torch.tensor([len(piece.ids) for piece in batch])
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        features = {"input_ids": ids.to(self._device), "attention_mask": mask.long().to(self._device)}
        states: Tensor = self._transformer(features)["token_embeddings"]
        pooled: NDArray[np.float32] = (weights.to(self._device) @ states.float()).cpu().numpy()
        return pooled

    def _check_windows(self) -> None:
        settings, model = self.settings, self.settings.model
        limit = _longest(self._transformer.config)
        if limit is not None and settings.window_tokens > limit:
            raise UsageError(
                f"embedder.window_tokens is {settings.window_tokens}, but {model} sees at most {limit} tokens at once; "
                f"set it to {limit} or less (longer documents are embedded in several windows)"
            )
        if settings.overlap_tokens >= self._window:
            raise UsageError(
                f"embedder.overlap_tokens is {settings.overlap_tokens}, but a window of {settings.window_tokens} holds "
                f"only {self._window} tokens of text; set it to less than {self._window}"
            )


def _longest(config: Any) -> int | None:
    """Most tokens that a model with this configuration sees at once, special ones included; None for any number."""
    positions: int | None = getattr(config, "max_position_embeddings", None)
    reserved: int = config.pad_token_id + 1 if config.model_type in NUMBERED_BEHIND_PADDING else 0
    return None if positions is None else positions - reserved


def _load_transformer(settings: EmbedderSettings) -> Any:
    """The Transformer module of a sentence-transformers model; pooling and normalisation are ours."""
    from sentence_transformers.base.modules import Transformer
    from transformers.utils import logging

    folder = Path(resolve(settings.model, settings.revision, settings.adapter))
    listing = folder / "modules.json"
    plain = [{"path": "", "type": "Transformer"}]
    first, *rest = json.loads(listing.read_text("utf-8")) if listing.is_file() else plain
    types = [module["type"] for module in (first, *rest)]
    if not types[0].endswith("Transformer") or not all(kind.endswith(("Pooling", "Normalize")) for kind in types[1:]):
        raise UsageError(
            f"embedder.model {settings.model}: expected a Transformer followed by pooling and normalisation only, "
            f"found {', '.join(types)} in {listing.name}; choose another model"
        )
    silence: Callable[[], None] = logging.disable_progress_bar
    silence()
    try:
        return Transformer.load(str(folder), subfolder=first["path"])
    except (OSError, ValueError) as error:
        raise UsageError(
            f"embedder.model {settings.model}: expected a sentence-transformers model in {folder}, but it cannot be "
            f"loaded: {error}"
        ) from error


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids that the tokenizer puts before and after every text."""
    encoded = tokenizer("a", return_special_tokens_mask=True, verbose=False)
    ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    start = special.index(0)
    end = len(special) - special[::-1].index(0)
    return ids[:start], ids[end:]


@lru_cache(maxsize=2)
def open_embedder(settings: EmbedderSettings) -> Embedder:
    """The embedder of these settings, loaded once in this process, which keeps the last two."""
    return Embedder(settings)
