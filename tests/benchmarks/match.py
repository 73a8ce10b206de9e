"""What Gaussian pooling costs over sentence-transformers' own `encode`, and what usearch misses.

Speed: the same texts, none longer than a window, on the same model and device; the global vectors must be those of
`encode`. Recall: vectors of documents, as `match` has them, are the queries, and what the index proposes is re-scored.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.checkpoints import resolve
from models.embedder import Embedder
from models.settings import EmbedderSettings
from tasks.neighbours import (
    CANDIDATES,
    NEIGHBOURS,
    Neighbours,
    Vectors,
    build_index,
    measure_recall,
    recall,
    stored_dtype,
)
from tasks.settings import IndexSettings, load_profile
from tests.benchmarks.bare import in_turn
from tests.benchmarks.figures import Figure, Sizes, Target
from tests.benchmarks.samples import descriptions, sample_texts, texts_of_many_lengths


def measure(sizes: Sizes) -> list[Figure]:
    """Documents a second, and recall@10.

    Raises:
        UsageError: the tiny profile's embedder is not there.
    """
    profile = load_profile("tiny")
    embedder = Embedder(profile.embedder)
    speed = _speed(embedder, texts_of_many_lengths(sizes.texts), sizes.rounds)
    return [speed, _recall(embedder, descriptions(sizes.descriptions), profile.index)]


def _speed(embedder: Embedder, texts: Sequence[str], rounds: int) -> Figure:
    own = _sentence_transformer(embedder.settings)

    def ours() -> float:
        started = time.perf_counter()
        embedder.embed_documents(texts)
        return time.perf_counter() - started

    def theirs() -> float:
        started = time.perf_counter()
        own.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return time.perf_counter() - started

    difference = np.abs(own.encode(texts[:20]) - embedder.embed_documents(texts[:20])[:, 0]).max()
    if difference > 1e-4:
        raise ValueError(f"expected the global vectors of sentence-transformers, found a difference of {difference}")
    with_chunks, without = in_turn(rounds, ours, theirs)
    return Figure(
        "embed_documents over sentence-transformers",
        without / with_chunks,
        "of its documents/s",
        Target("at least", 0.85),
        f"{len(texts)} texts of 40 to 300 words; {len(texts) / with_chunks:.1f}/s against {len(texts) / without:.1f}/s",
    )


def _sentence_transformer(settings: EmbedderSettings) -> Any:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resolve(settings.model, settings.revision, settings.adapter)))
    model.max_seq_length = settings.window_tokens
    return model


def _recall(embedder: Embedder, texts: Sequence[str], settings: IndexSettings) -> Figure:
    vectors = Vectors([embedder.embed_texts(texts).astype(stored_dtype(settings))])
    neighbours = Neighbours(vectors, build_index(vectors, settings))
    queries = embedder.embed_documents(sample_texts()).reshape(-1, vectors.dimensions)
    _, found = neighbours.search(queries, CANDIDATES)
    nobody = np.full(len(queries), -1)
    return Figure(
        "usearch recall@10, re-scored",
        recall(found[:, :NEIGHBOURS], neighbours.best(queries, nobody, NEIGHBOURS)),
        "of the true neighbours",
        Target("at least", 0.97),
        f"{len(texts)} descriptions, {len(queries)} vectors of documents; with the descriptions' own vectors "
        f"{measure_recall(neighbours, settings.recall_sample):.4f}",
    )
