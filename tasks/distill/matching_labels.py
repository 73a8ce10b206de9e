"""Labelled pairs of document and description, from files, for training and measuring the matching embedder.

A row names a document, a template with its description, and whether they are compatible; of a compatible one it may
hold the answer, whose excerpts say where in the document the template applies (paper 3.2, round 2). The gates are
those of production: a template that cannot be used, or an answer whose excerpts are not in the document or are too
small a share of it, keeps a row out, with its reason.

A file that cannot be read, or lacks a field, raises `UsageError`. Not covered: whether the labels are right.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.excerpts import expand
from models.refusals import Refusal
from models.templates import Template, TemplateError
from models.training.contrast import LabelledPair
from models.training.split import held_out
from tasks.inputs import stem
from tasks.label_files import read_label_file
from tasks.refused import refused_frame

LABELS = pl.Schema(
    {
        "document_id": pl.String(),
        "document_start": pl.Int64(),
        "document": pl.String(),
        "template": pl.String(),
        "compatible_document_description": pl.String(),
        "compatible": pl.Boolean(),
        "answer": pl.String(),
    }
)
"""`document` is the passage that begins at code point `document_start` of the document `document_id`."""

OPTIONAL = ("document_start", "answer")


@dataclass(frozen=True)
class MatchingLabel:
    """A labelled pair, which document it is of, and where in it; `file` is the position of its file."""

    pair: LabelledPair
    document_id: str
    document_start: int
    file: int


def read_matching_labels(
    urls: Sequence[str], min_excerpt_share: float = 0.80
) -> tuple[list[MatchingLabel], pl.DataFrame]:
    """All rows of jsonl files of schema `LABELS`: those that pass the gates, and `REJECTED` rows, named file and row.

    Args:
        urls: The files.
        min_excerpt_share: That of the instantiator (paper 3.3).

    Raises:
        UsageError: when a file cannot be read, or a row lacks a field.
    """
    needed = [name for name in LABELS if name not in OPTIONAL]
    kept: list[MatchingLabel] = []
    rejected: list[dict[str, str]] = []
    for file, url in enumerate(urls):
        for number, row in enumerate(read_label_file(url, LABELS, needed).iter_rows(named=True), start=1):
            at = _check(row, min_excerpt_share)
            if isinstance(at, Refusal):
                rejected.append({"id": f"{stem(url)}:{number}", "reason": at.reason, "detail": at.detail})
                continue
            pair = LabelledPair(row["document"], row["compatible_document_description"], row["compatible"], at)
            kept.append(MatchingLabel(pair, row["document_id"], row["document_start"] or 0, file))
    refused = pl.DataFrame(rejected, schema={"id": pl.String, "reason": pl.String, "detail": pl.String})
    return kept, refused_frame(refused)


def split(labels: Iterable[MatchingLabel], share: float, seed: int) -> tuple[list[MatchingLabel], list[MatchingLabel]]:
    """Labels to train on and labels held out, by document."""
    parts: tuple[list[MatchingLabel], list[MatchingLabel]] = ([], [])
    for label in labels:
        parts[held_out(label.document_id, share, seed)].append(label)
    return parts


def _check(row: Mapping[str, Any], min_excerpt_share: float) -> int | Refusal | None:
    """Where the answer lies in the document, None without one, or the first gate that the row fails."""
    try:
        Template.parse(row["template"])
    except TemplateError as error:
        return Refusal(error.reason, error.detail)
    if not row["compatible_document_description"].strip():
        return Refusal("no_description", "the description is empty")
    return None if row["answer"] is None else _answer_at(row["document"], row["answer"], min_excerpt_share)


def _answer_at(document: str, answer: str, least: float) -> int | Refusal:
    """The middle of the document's characters that the answer quotes."""
    expansion = expand(answer, document, (0, len(document)))
    if isinstance(expansion, Refusal):
        return expansion
    if expansion.share < least:
        return Refusal("excerpt_share_low", f"expected {least:.2f} or more, found {expansion.share:.2f}")
    return (
        min(excerpt.document_start for excerpt in expansion.excerpts)
        + max(excerpt.document_end for excerpt in expansion.excerpts)
    ) // 2
