"""What a matching embedder is worth, measured on labelled pairs that its training did not see (paper 3.2).

Similarity is that of production: the best of a document's K+1 embeddings against the description's. Nothing is written.

Not covered: pairs without a label. Of the descriptions that a document would retrieve from the bank only the labelled
ones can be judged; how many those are is part of the figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from models.embedder import Embedder
from models.errors import UsageError
from tasks.distill.matching_labels import MatchingLabel

TEMPLATES = 6
"""Templates per document (paper 4.2)."""

NEAR = 10
"""Places of the bank's ranking within which the right description counts as recalled."""


@dataclass(frozen=True)
class MatchingFigures:
    """Figures of an embedder on labelled pairs.

    `aucs`: for each file of labels, the chance that a compatible pair is nearer than an incompatible one.
    `recall_at_10`: share of compatible pairs whose description is among the document's nearest ten of the bank, other
        descriptions known to be compatible left out.
    `yield_labelled`: share of compatible pairs among the labelled ones in the documents' nearest six of the bank, of
        which there are `labelled_in_top` of `top`.
    `chunk_pearson`: correlation between the nearest chunk and the place of the answer, over whole documents.
    """

    pairs: int
    documents: int
    bank: int
    aucs: tuple[float, ...]
    recall_at_10: float
    yield_labelled: float
    labelled_in_top: int
    top: int
    chunk_pearson: float
    located: int


def evaluate_matching(
    embedder: Embedder, labels: Sequence[MatchingLabel], bank: Iterable[str], documents: Mapping[str, str]
) -> MatchingFigures:
    """Measure an embedder.

    Args:
        embedder: As it is used for matching.
        labels: Pairs that it was not trained on; both kinds in every file.
        bank: Descriptions that compete; those of the labels are added.
        documents: Text of whole documents by id, in which the answers of `labels` are to be located.

    Raises:
        UsageError: no labels, or a file holds only one kind.
    """
    if not labels:
        raise UsageError("expected labelled pairs to measure the embedder on, found none; hold out a larger share")
    rows = sorted(labels, key=lambda label: (label.document_id, label.document_start, label.pair.document))
    descriptions = list(dict.fromkeys([*(label.pair.description for label in rows), *bank]))
    described = embedder.embed_texts(descriptions)
    places = {description: place for place, description in enumerate(descriptions)}
    passages = list(dict.fromkeys(label.pair.document for label in rows))
    ranked = embedder.embed_documents(passages) @ described.T
    similarities = dict(zip(passages, ranked.max(axis=1), strict=True))
    near = [similarities[label.pair.document][places[label.pair.description]] for label in rows]
    hits, top = _rankings(rows, similarities, places)
    located, pearson = _localisation(embedder, rows, documents)
    judged = [verdict for verdict in top if verdict is not None]
    return MatchingFigures(
        pairs=len(rows),
        documents=len({label.document_id for label in rows}),
        bank=len(descriptions),
        aucs=tuple(_auc(rows, near, file) for file in range(max(label.file for label in rows) + 1)),
        recall_at_10=float(np.mean(hits)),
        yield_labelled=float(np.mean(judged)) if judged else float("nan"),
        labelled_in_top=len(judged),
        top=len(top),
        chunk_pearson=pearson,
        located=located,
    )


def _auc(rows: Sequence[MatchingLabel], similarities: Sequence[np.float32], file: int) -> float:
    from sklearn.metrics import roc_auc_score

    chosen = [(row.pair.compatible, near) for row, near in zip(rows, similarities, strict=True) if row.file == file]
    if len({compatible for compatible, _ in chosen}) < 2:
        raise UsageError(
            f"expected compatible and incompatible pairs in file {file + 1} of the labels, found {len(chosen)} of one "
            "kind; hold out a larger share"
        )
    return float(roc_auc_score(*zip(*chosen, strict=True)))


def _rankings(
    rows: Sequence[MatchingLabel], similarities: Mapping[str, NDArray[np.float32]], places: Mapping[str, int]
) -> tuple[list[bool], list[bool | None]]:
    """Whether each compatible pair is recalled, and the label (None: unknown) of each passage's nearest six."""
    hits: list[bool] = []
    top: list[bool | None] = []
    for passage, group in groupby(rows, key=lambda row: row.pair.document):
        known = {places[row.pair.description]: row.pair.compatible for row in group}
        order = similarities[passage].argsort()[::-1]
        top += [known.get(int(place)) for place in order[:TEMPLATES]]
        rivals = [int(place) for place in order if not known.get(int(place))][:NEAR]
        floor = similarities[passage][rivals[-1]]
        hits += [bool(similarities[passage][place] > floor) for place, compatible in known.items() if compatible]
    return hits, top


def _localisation(embedder: Embedder, rows: Sequence[MatchingLabel], documents: Mapping[str, str]) -> tuple[int, float]:
    """Pairs whose answer's place in the whole document is known, and Pearson's r of that place and the chunk."""
    chosen = [row for row in rows if row.pair.answer_at is not None and row.document_id in documents]
    if len(chosen) < 2:
        return len(chosen), float("nan")
    whole = [documents[row.document_id] for row in chosen]
    texts = list(dict.fromkeys(whole))
    vectors = dict(zip(texts, embedder.embed_documents(texts)[:, 1:], strict=True))
    described = embedder.embed_texts([row.pair.description for row in chosen])
    chunks = [int((vectors[text] @ vector).argmax()) for text, vector in zip(whole, described, strict=True)]
    shares = [
        (row.document_start + (row.pair.answer_at or 0)) / len(text) for row, text in zip(chosen, whole, strict=True)
    ]
    return len(chosen), float(np.corrcoef(chunks, shares)[0, 1])
