"""Labels of a large model to small models that do the job: read, train, measure, describe (paper 1.2, 1.3, 1.6)."""

from collections.abc import Callable
from pathlib import Path

from prefect import flow

from tasks.distill.helpers import measure_helpers, train_helpers
from tasks.distill.lessons import read_lesson
from tasks.distill.matcher import measure_embedder, read_sides, train_embedder
from tasks.distill.model_card import Trained, write_embedder_card, write_helpers_card, write_passages_card
from tasks.distill.passages import measure_passages, read_quotations, train_passage_embedder
from tasks.distill.plan import Distillation, Part


@flow(name="distill", flow_run_name="distill-{plan.target}")
def distill(plan: Distillation) -> list[Trained]:
    """Train the helpers that a plan names; steps that are done are not done again.

    Args:
        plan: What to train, out of which labels, into which folder.
    """
    make: dict[Part, Callable[[Distillation], Trained]] = {
        "embedder": _embedder,
        "passages": _passages,
        "helpers": _helpers,
    }
    return [make[part](plan) for part in plan.parts]


def _helpers(plan: Distillation) -> Trained:
    lessons = [read_lesson(plan, helper) for helper in plan.helpers]
    adapter = train_helpers(plan, lessons)
    made = Trained(adapter, measure_helpers(plan, lessons, None), measure_helpers(plan, lessons, adapter))
    write_helpers_card(plan, lessons, made)
    return made


def _passages(plan: Distillation) -> Trained:
    found = read_quotations(plan)
    adapter: Path = train_passage_embedder(plan, found)
    made = Trained(adapter, measure_passages(plan, found, None), measure_passages(plan, found, adapter))
    write_passages_card(plan, found, made)
    return made


def _embedder(plan: Distillation) -> Trained:
    sides = read_sides(plan)
    adapter: Path = train_embedder(plan, sides)
    made = Trained(adapter, measure_embedder(plan, sides, None), measure_embedder(plan, sides, adapter))
    write_embedder_card(plan, sides, made)
    return made
