"""Labels of the causal helpers to what is learned and what is held out, with the gates of production in between.

Rejected labels are written beside the adapter as `rejected-<helper>.parquet`. Not covered: the embedder's labels, see
`tasks.distill.matching_labels`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from models.errors import UsageError
from models.training.examples import Example
from tasks.distill.examples import (
    Taught,
    choose,
    limit_nulls,
    split,
    teach_genericizer,
    teach_instantiator,
    teach_judge,
)
from tasks.distill.labels import (
    read_genericizer_labels,
    read_judge_labels,
    read_judged_labels,
    read_pair_labels,
)
from tasks.distill.plan import Distillation, Helper


@dataclass(frozen=True)
class Lesson:
    """What one helper learns from, by file of labels: `learned` and `held` have no document or query in common.

    `decided`: of the learned side, some pairs with nulls as frequent as in the labels, to choose the margin by.
    """

    helper: Helper
    learned: dict[str, Taught]
    held: dict[str, Taught]
    decided: dict[str, Taught]

    @property
    def examples(self) -> tuple[Example, ...]:
        """What is trained on."""
        return tuple(example for taught in self.learned.values() for example in taught.examples)

    @property
    def rejected(self) -> pl.DataFrame:
        """Labels that passed no gate, schema `REJECTED`."""
        return pl.concat([taught.rejected for taught in self.learned.values()])


def read_lesson(plan: Distillation, helper: Helper) -> Lesson:
    """The labels of one helper, checked, split and chosen.

    Raises:
        UsageError: when a file of labels is missing or cannot be used, no label passes the gates, or the instantiator's
            are of one kind.
    """
    settings = plan.settings.distill
    learned: dict[str, Taught] = {}
    held: dict[str, Taught] = {}
    decided: dict[str, Taught] = {}
    for name, taught in _taught(plan, helper).items():
        by = "query_id" if helper == "genericizer" else "document_id"
        learned[name], held[name] = split(taught, by, settings.held_out, settings.seed)
        if helper == "instantiator":
            decided[name] = choose(learned[name], settings.margin_pairs, settings.seed)
            learned[name] = limit_nulls(learned[name], settings.null_share, settings.seed)
        if settings.most_examples:
            learned[name] = choose(learned[name], settings.most_examples, settings.seed)
    if not any(taught.examples for taught in learned.values()):
        rejected = sum(len(taught.rejected) for taught in learned.values())
        raise UsageError(f"labels of {plan.silver!r}: none for the {helper} passes the gates ({rejected} rejected)")
    if helper == "instantiator":
        _expect_both_kinds(plan, [kind for taught in decided.values() for kind in taught.labels["compatible"]])
    return Lesson(helper, learned, held, decided)


def _expect_both_kinds(plan: Distillation, compatible: Sequence[bool]) -> None:
    """Before anything is trained whose margin could not be chosen."""
    if len(set(compatible)) < 2:
        raise UsageError(
            f"labels of {plan.silver!r}: expected compatible and incompatible pairs to choose the margin for null by, "
            f"found {len(compatible)} of one kind; add labels of the other"
        )


def _taught(plan: Distillation, helper: Helper) -> dict[str, Taught]:
    profile = plan.settings
    if helper == "genericizer":
        labels = read_genericizer_labels(_queries(plan))
        return {"genericizer": teach_genericizer(labels, profile.genericizer)}
    urls = plan.pair_files
    if helper == "instantiator":
        return {name: teach_instantiator(read_pair_labels(url), profile.instantiator) for name, url in urls.items()}
    judged = {name: _judged(url, plan) for name, url in urls.items()}
    if url := plan.file("judged"):
        judged["judged"] = teach_judge(read_judged_labels(url), plan.settings.judge)
    return judged


def _judged(url: str, plan: Distillation) -> Taught:
    labels, rejected = read_judge_labels(url)
    taught = teach_judge(labels, plan.settings.judge)
    return Taught(taught.labels, taught.examples, pl.concat([rejected, taught.rejected]))


def _queries(plan: Distillation) -> str:
    url = plan.file("genericizer")
    if url is None:
        found = ", ".join(file.url.rsplit("/", 1)[-1] for file in plan.files)
        raise UsageError(f"labels {plan.silver!r}: expected genericizer.jsonl among them, found {found or 'none'}")
    return url
