"""The embedder of passages: an adapter from labelled answers, and what it is worth (see `models.passages`).

Labels are those of the instantiator: what a labelled answer quotes is what should be found. Each step leaves its result
in the distillation's folder and is not done again where that is there; a killed training begins anew.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.anchors import Offer
from models.errors import UsageError
from models.excerpts import expand
from models.passages import find_passage
from models.refusals import Refusal
from models.settings import PassageSettings
from models.training.measures import document_words, f1
from models.training.passages import QuotingLabel, train_passages
from tasks.distill.examples import split, teach_instantiator
from tasks.distill.labels import read_pair_labels
from tasks.distill.plan import Distillation

RIGHT = 0.6
"""F1 of quoted words from which a passage counts as the labelled one."""


@dataclass(frozen=True)
class PassageFigures:
    """Over held-out labels: mean F1 of the words that passage and label quote, and the share with `RIGHT` or more."""

    labels: int
    excerpt_f1: float
    right: float


@dataclass(frozen=True)
class Quotations:
    """What labelled answers quote, by file of labels: to learn from and held out, and why others were refused."""

    learned: dict[str, list[QuotingLabel]]
    held: dict[str, list[QuotingLabel]]
    refused: dict[str, list[str]]


def read_quotations(plan: Distillation) -> Quotations:
    """Those labels of the instantiator that have an answer, checked and split by document.

    Raises:
        UsageError: when a file of labels is missing or cannot be used, no label passes the gates, or none is held out.
    """
    settings = plan.settings
    found = Quotations({}, {}, {})
    for name, url in plan.pair_files.items():
        taught = teach_instantiator(read_pair_labels(url).filter("compatible"), settings.instantiator)
        learned, held = split(taught, "document_id", settings.distill.held_out, settings.distill.seed)
        found.learned[name], found.held[name] = quotations(learned.labels), quotations(held.labels)
        found.refused[name] = taught.rejected["reason"].to_list()
    if not any(found.learned.values()):
        raise UsageError(
            f"labels of {plan.silver!r}: no answer passes the gates ({sum(map(len, found.refused.values()))} rejected)"
        )
    if not any(found.held.values()):
        raise UsageError(
            f"labels of {plan.silver!r}: expected answers among those held out, found none; add labels of further "
            "documents, or hold out a larger share (distill.held_out)"
        )
    return found


@task(task_run_name="train-passages", cache_policy=NO_CACHE)
def train_passage_embedder(plan: Distillation, found: Quotations) -> Path:
    """The folder of the adapter for the embedder of passages.

    Raises:
        UsageError: a package is missing, or the base cannot be had.
    """
    adapter = plan.folder("passages") / "adapter"
    if adapter.is_dir():
        return adapter
    labels = [label for learned in found.learned.values() for label in learned]
    unfinished = adapter.with_name(".adapter")
    training = train_passages(labels, plan.passages, plan.settings.distill.passages, unfinished)
    (unfinished.parent / "training.json").write_text(json.dumps(asdict(training), indent=1), "utf-8")
    unfinished.rename(adapter)
    return adapter


@task(task_run_name="measure-passages", cache_policy=NO_CACHE)
def measure_passages(plan: Distillation, found: Quotations, adapter: Path | None) -> dict[str, Any]:
    """Figures of the base (`adapter` None) or of the tuned embedder, for each file of held-out labels.

    Raises:
        UsageError: the model cannot be had.
    """
    file = plan.folder("passages") / f"figures-{'tuned' if adapter else 'base'}.json"
    if not file.is_file():
        embedder = plan.passages.embedder.model_copy(update={"adapter": str(adapter or "")})
        settings = plan.passages.model_copy(update={"embedder": embedder})
        figures = {f"{name}.jsonl": asdict(evaluate_passages(labels, settings)) for name, labels in found.held.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=1), "utf-8")
    figures_read: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return figures_read


def evaluate_passages(labels: Sequence[QuotingLabel], settings: PassageSettings) -> PassageFigures:
    """Measure how often what is found is what labels quote, however far it is from the instruction."""
    nearest = settings.model_copy(update={"min_relevance": -1.0})
    near: list[float] = []
    for label in labels:
        found = find_passage(label.instruction, label.document, (0, len(label.document)), nearest)
        spans = [found.span] if isinstance(found, Offer) else []
        near.append(f1(document_words(label.document, spans), document_words(label.document, label.spans)))
    if not near:
        return PassageFigures(0, float("nan"), float("nan"))
    return PassageFigures(len(near), float(np.mean(near)), float(np.mean(np.array(near) >= RIGHT)))


def quotations(labels: pl.DataFrame) -> list[QuotingLabel]:
    """What the answers of `PAIR_LABELS` quote."""
    found: list[QuotingLabel] = []
    for row in labels.filter("compatible").iter_rows(named=True):
        answer = expand(row["answer"], row["document"], (0, len(row["document"])))
        if not isinstance(answer, Refusal) and answer.excerpts:
            spans = tuple((excerpt.document_start, excerpt.document_end) for excerpt in answer.excerpts)
            found.append(QuotingLabel(row["document"], row["instruction"], spans))
    return found
