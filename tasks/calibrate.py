"""The match threshold of an embedder, from labelled documents and descriptions (paper 3.2 chose its own by hand).

A threshold belongs to the model that made the vectors, so every embedder needs its own.
Nothing is written. Not covered: how far the labels are like the candidates of a real bank; labels on pairs that were
retrieved say more than labels on pairs at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.embedder import open_embedder
from models.errors import UsageError
from tasks.label_files import read_label_file
from tasks.settings import Profile

LABELS = pl.Schema(
    {"document": pl.String(), "compatible_document_description": pl.String(), "compatible": pl.Boolean()}
)


@dataclass(frozen=True)
class Calibration:
    """A threshold, and what it does to the labelled pairs.

    `precision`: share of the kept pairs that are compatible; `recall`: share of the compatible pairs that are kept;
    `auc`: chance that a compatible pair is nearer than an incompatible one, whatever the threshold.
    """

    threshold: float
    precision: float
    recall: float
    kept: int
    auc: float


def pick_threshold(similarities: Sequence[float], labels: Sequence[bool], precision: float) -> Calibration:
    """The lowest threshold whose precision on the labelled pairs is at least the wanted one.

    Args:
        similarities: Cosine of each pair.
        labels: Whether the pair is compatible; both kinds must occur.
        precision: Wanted share of compatible pairs among those kept, 0 to 1.

    Raises:
        UsageError: when one kind of label is missing, or no threshold is as precise as that.
    """
    from sklearn.metrics import precision_recall_curve, roc_auc_score

    if len(set(labels)) < 2:
        raise UsageError(
            f"expected compatible and incompatible pairs, found {len(labels)} of one kind only; add labels"
        )
    precisions, recalls, thresholds = precision_recall_curve(labels, similarities)
    # The curve ends with a point of its own that no threshold belongs to.
    enough = np.flatnonzero(precisions[:-1] >= precision)
    if not len(enough):
        best = int(precisions[:-1].argmax())
        raise UsageError(
            f"no threshold reaches precision {precision}: the best is {precisions[best]:.3f} at threshold "
            f"{thresholds[best]:.3f} (recall {recalls[best]:.3f}); ask for less, or use a better embedder"
        )
    lowest = int(enough[0])
    return Calibration(
        threshold=float(thresholds[lowest]),
        precision=float(precisions[lowest]),
        recall=float(recalls[lowest]),
        kept=int((np.asarray(similarities) >= thresholds[lowest]).sum()),
        auc=float(roc_auc_score(labels, similarities)),
    )


def calibrate(labels_url: str, profile: Profile, precision: float) -> Calibration:
    """Pick the match threshold of a profile's embedder at a target precision.

    Args:
        labels_url: fsspec URL of a jsonl file with document, compatible_document_description and compatible.
        profile: Names the embedder.
        precision: Wanted share of compatible pairs among those kept.

    Raises:
        UsageError: when the file cannot be used or no threshold is as precise as that.
    """
    labelled = read_label_file(labels_url, LABELS, LABELS.names())
    return pick_threshold(similarities(labelled, profile).tolist(), labelled["compatible"].to_list(), precision)


def similarities(labelled: pl.DataFrame, profile: Profile) -> NDArray[np.float32]:
    """Cosine of each labelled pair, `[N]`: the best of the document's K+1 vectors, as in matching."""
    embedder = open_embedder(profile.embedder)
    documents = labelled["document"].unique(maintain_order=True)
    places = labelled["document"].replace_strict(documents, range(len(documents)), return_dtype=pl.Int64).to_numpy()
    vectors = embedder.embed_documents(documents.to_list())[places]
    described = embedder.embed_texts(labelled["compatible_document_description"].to_list())
    best: NDArray[np.float32] = np.einsum("nkd,nd->nk", vectors, described).max(axis=1)
    return best
