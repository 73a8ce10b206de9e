"""The matching embedder: an adapter from labelled pairs in both rounds, and what it is worth (paper 1.3, 3.2).

Each step leaves its result in the distillation's folder and is not done again where that is there; a killed training
begins anew.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.embedder import open_embedder
from models.errors import UsageError
from models.training.contrast import ContrastTrainer
from tasks.distill.evaluate_matching import evaluate_matching
from tasks.distill.labels import read_genericizer_labels, read_whole_documents
from tasks.distill.matching_labels import MatchingLabel, read_matching_labels, split
from tasks.distill.plan import Distillation


@dataclass(frozen=True)
class Sides:
    """Labelled pairs to learn from and held out, rows that passed no gate (`REJECTED`), and whole documents by id."""

    learned: list[MatchingLabel]
    held: list[MatchingLabel]
    rejected: pl.DataFrame
    documents: dict[str, str]


def read_sides(plan: Distillation) -> Sides:
    """Labelled pairs to learn from, and those held out.

    Raises:
        UsageError: when a file of labels is missing or cannot be used, or has only one kind among those held out.
    """
    urls = list(plan.pair_files.values())
    profile = plan.settings
    labels, rejected = read_matching_labels(urls, profile.instantiator.min_excerpt_share)
    learned, held = split(labels, profile.distill.held_out, profile.distill.seed)
    for file, url in enumerate(urls):
        _expect_both_kinds(url, [label for label in held if label.file == file])
    return Sides(learned, held, rejected, read_whole_documents(plan.file("documents")))


def _expect_both_kinds(url: str, held: Sequence[MatchingLabel]) -> None:
    """Before anything is trained that could not be measured."""
    if len({label.pair.compatible for label in held}) < 2:
        raise UsageError(
            f"labels {url!r}: expected compatible and incompatible pairs among those held out, found {len(held)} of "
            "one kind; add labels of further documents, or hold out a larger share (distill.held_out)"
        )


@task(task_run_name="train-embedder", cache_policy=NO_CACHE)
def train_embedder(plan: Distillation, sides: Sides) -> Path:
    """The folder of the embedder's adapter.

    Raises:
        UsageError: a package is missing, the base cannot be had, or there is only one kind of label.
    """
    adapter = plan.folder("embedder") / "adapter"
    if adapter.is_dir():
        return adapter
    trainer = ContrastTrainer(plan.settings.embedder, plan.settings.distill.contrast)
    training = trainer.fit([label.pair for label in sides.learned])
    unfinished = adapter.with_name(".adapter")
    trainer.save(unfinished, plan.settings.embedder.model)
    sides.rejected.write_parquet(unfinished.parent / "rejected-embedder.parquet")
    (unfinished.parent / "training.json").write_text(json.dumps(asdict(training), indent=1), "utf-8")
    unfinished.rename(adapter)
    return adapter


@task(task_run_name="measure-embedder", cache_policy=NO_CACHE)
def measure_embedder(plan: Distillation, sides: Sides, adapter: Path | None) -> dict[str, Any]:
    """Figures of the base embedder (`adapter` None) or of the tuned one, on held-out labels.

    Raises:
        UsageError: the model cannot be had.
    """
    file = plan.folder("embedder") / f"figures-{'tuned' if adapter else 'base'}.json"
    if not file.is_file():
        embedder = open_embedder(plan.settings.embedder.model_copy(update={"adapter": str(adapter or "")}))
        queries = plan.file("genericizer")
        bank = read_genericizer_labels(queries)["compatible_document_description"].drop_nulls() if queries else ()
        figures = asdict(evaluate_matching(embedder, sides.held, bank, sides.documents))
        names = [Path(url).name for url in plan.pair_files.values()]
        figures["aucs"] = dict(zip(names, figures["aucs"], strict=True))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=1), "utf-8")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found
