"""The causal helpers: one adapter from their lessons, and what it is worth beside its base (paper 1.2, 1.6, 1.7).

Each step leaves its result in the distillation's folder (`adapter/`, `figures-base.json`, `figures-tuned.json`) and is
not done again where that is there. A killed training goes on from its last checkpoint.
Base and tuned model are asked the same way: the profile's prompts and constraints, on labels held out of training.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.embedder import open_embedder
from models.engines import close_engine, open_engine
from models.instantiator import Instantiator
from models.settings import InstantiatorSettings
from models.training.log_odds import null_log_odds
from models.training.lora import Base, load, train
from models.training.measures import choose_bias, null_margin
from tasks.distill.evaluate import genericizer_figures, instantiator_figures, judge_figures
from tasks.distill.examples import Taught
from tasks.distill.lessons import Lesson
from tasks.distill.plan import Distillation

Figures = dict[str, dict[str, Any]]
"""By helper and file of labels, as `genericizer of genericizer.jsonl`: name of the figure to its value."""


@task(task_run_name="train-helpers", cache_policy=NO_CACHE)
def train_helpers(plan: Distillation, lessons: Sequence[Lesson]) -> Path:
    """The folder of the helpers' common adapter.

    Raises:
        UsageError: a package is missing, the model cannot be had, or there is nothing to learn from.
    """
    folder = plan.folder("helpers")
    folder.mkdir(parents=True, exist_ok=True)
    for lesson in lessons:
        lesson.rejected.write_parquet(folder / f"rejected-{lesson.helper}.parquet")
    examples = [example for lesson in lessons for example in lesson.examples]
    return train(examples, _base(plan), plan.settings.distill.train, folder)


@task(task_run_name="measure-helpers", cache_policy=NO_CACHE)
def measure_helpers(plan: Distillation, lessons: Sequence[Lesson], adapter: Path | None) -> Figures:
    """Figures of the base model (`adapter` None) or of the tuned one, on held-out labels.

    Raises:
        UsageError: the model cannot be had.
        TransientError: the engine is gone.
    """
    file = plan.folder("helpers") / f"figures-{'tuned' if adapter else 'base'}.json"
    if file.is_file():
        found: Figures = json.loads(file.read_text("utf-8"))
        return found
    figures: Figures = {}
    for lesson in lessons:
        if lesson.helper == "instantiator":
            figures |= _margins(plan, lesson, adapter)
    for lesson in lessons:
        for name, held in lesson.held.items():
            if len(held.labels):
                place = f"{lesson.helper} of {name}.jsonl"
                figures[place] = {**_asked(plan, lesson, held.labels, adapter, figures), **figures.get(place, {})}
    close_engine()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures, indent=1), "utf-8")
    return figures


def _base(plan: Distillation) -> Base:
    return Base(plan.engine.model, plan.engine.revision, plan.start)


def _asked(
    plan: Distillation, lesson: Lesson, labels: pl.DataFrame, adapter: Path | None, figures: Figures
) -> dict[str, Any]:
    profile = plan.settings
    engine = open_engine(plan.engine.model_copy(update={"adapter": str(adapter or "")}))
    match lesson.helper:
        case "genericizer":
            return asdict(genericizer_figures(labels, profile.genericizer, engine, open_embedder(profile.embedder)))
        case "instantiator":
            bias = next((found["null_bias"] for found in figures.values() if "null_bias" in found), 0.0)
            return asdict(
                instantiator_figures(labels, profile.instantiator.model_copy(update={"null_bias": bias}), engine)
            )
        case "judge":
            return asdict(judge_figures(labels, profile.judge, engine))


def _margins(plan: Distillation, lesson: Lesson, adapter: Path | None) -> Figures:
    """AUC of null against pair on every held-out file, and the accuracy at the margin the learned side suggests."""
    tokenizer, model = load(_base(plan), adapter)
    settings = plan.settings.instantiator

    def odds(taught: Taught) -> tuple[list[float], list[bool]]:
        return null_log_odds(_requests(taught.labels, settings), tokenizer, model), _nulls(taught.labels)

    decided = [odds(taught) for taught in lesson.decided.values()]
    bias = choose_bias([odd for found, _ in decided for odd in found], [null for _, nulls in decided for null in nulls])
    return {
        f"instantiator of {name}.jsonl": {
            "null_bias": bias,
            "null_auc": margin.auc,
            "null_balanced_accuracy": margin.balanced_accuracy,
        }
        for name, held in lesson.held.items()
        if held.labels["compatible"].n_unique() == 2
        for margin in [null_margin(*odds(held), bias)]
    }


def _requests(labels: pl.DataFrame, settings: InstantiatorSettings) -> list[Any]:
    instantiator = Instantiator(settings)
    rows = labels.select("pair_id", "template", "document").iter_rows()
    return [instantiator.request(id, template, document, (0, len(document))) for id, template, document in rows]


def _nulls(labels: pl.DataFrame) -> list[bool]:
    return [not compatible for compatible in labels["compatible"]]
