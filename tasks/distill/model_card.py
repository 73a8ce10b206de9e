"""The card of an adapter: what it is for, what it learned from, how, what it is worth, and the entry that uses it.

Written into the adapter's own folder, so that they travel together. Not covered: a licence for the whole; the card
names the base model, and the licences of the labels are their publisher's to state.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, StrictUndefined, Template
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.settings import Settings
from tasks.distill.lessons import Lesson
from tasks.distill.matcher import Sides
from tasks.distill.passages import Quotations
from tasks.distill.plan import Distillation, Part
from tasks.inputs import stem
from tasks.settings import load_profile

Nested = Mapping[str, Any]


@dataclass(frozen=True)
class Trained:
    """An adapter with its figures: `base` and `tuned` have the same names, at any depth."""

    adapter: Path
    base: Nested
    tuned: Nested

    def rows(self) -> list[dict[str, str]]:
        """`measure`, `base` and `tuned` of every figure, in words."""
        return _rows(self.base, self.tuned)


@task(task_run_name="write-card", cache_policy=NO_CACHE)
def write_helpers_card(plan: Distillation, lessons: Sequence[Lesson], trained: Trained) -> Path:
    """The card of the causal helpers' adapter."""
    biases = [found["null_bias"] for found in trained.tuned.values() if "null_bias" in found]
    name = getattr(plan.settings, plan.helpers[0]).engine
    entry = _entry(f"engines.{name}", plan.settings.engines[name], plan.engine, trained.adapter)
    if biases:
        entry += f"\n\n[instantiator]\nnull_bias = {biases[0]:.2f}"
    counts = [
        {
            "labels": f"{lesson.helper}: {name}.jsonl",
            "learned": len(learned.labels),
            "held": len(lesson.held[name].labels),
            "rejected": _tally(learned.rejected["reason"].to_list()),
        }
        for lesson in lessons
        for name, learned in lesson.learned.items()
    ]
    return _write(
        plan, "helpers", trained, plan.engine.model, {"roles": plan.helpers, "counts": counts, "entry": entry}
    )


@task(task_run_name="write-card", cache_policy=NO_CACHE)
def write_passages_card(plan: Distillation, found: Quotations, trained: Trained) -> Path:
    """The card of the adapter for the embedder of passages."""
    base = plan.passages.embedder
    usual = load_profile(plan.profile, plan.overrides).instantiator.retrieval
    entry = _entry("instantiator.passages.embedder", usual.embedder if usual else base, base, trained.adapter)
    counts = [
        {
            "labels": f"passages: {name}.jsonl",
            "learned": len(learned),
            "held": len(found.held[name]),
            "rejected": _tally(found.refused[name]),
        }
        for name, learned in found.learned.items()
    ]
    return _write(plan, "passages", trained, base.model, {"roles": ("passages",), "counts": counts, "entry": entry})


@task(task_run_name="write-card", cache_policy=NO_CACHE)
def write_embedder_card(plan: Distillation, sides: Sides, trained: Trained) -> Path:
    """The card of the embedder's adapter."""
    usual = load_profile(plan.profile, plan.overrides).embedder
    entry = _entry("embedder", usual, plan.settings.embedder, trained.adapter)
    counts = [
        {
            "labels": f"embedder: {stem(url)}.jsonl",
            "learned": sum(label.file == file for label in sides.learned),
            "held": sum(label.file == file for label in sides.held),
            "rejected": _tally(_of_file(sides.rejected, stem(url))["reason"].to_list()),
        }
        for file, url in enumerate(plan.pair_files.values())
    ]
    context = {"roles": ("matching",), "counts": counts, "entry": entry}
    return _write(plan, "embedder", trained, plan.settings.embedder.model, context)


def _entry(table: str, usual: Settings, tuned: Settings, adapter: Path) -> str:
    """The entry of a profile for the adapter, with its base where that is not the profile's `usual` one."""
    names = [name for name in ("model", "revision") if getattr(tuned, name) != getattr(usual, name)]
    values = {**{name: getattr(tuned, name) for name in names}, "adapter": str(adapter.resolve())}
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return "\n".join([f"[{table}]", *lines])


def _write(plan: Distillation, part: Part, trained: Trained, base: str, context: dict[str, Any]) -> Path:
    text = _template().render(
        **context,
        name=trained.adapter.parent.name,
        base=base,
        command=_command(plan, part),
        settings=plan.settings.distill,
        settings_json=json.dumps(plan.training(part), indent=1),
        figures=trained.rows(),
    )
    card = trained.adapter / "README.md"
    card.write_text(text, "utf-8")
    return card


@lru_cache
def _template() -> Template:
    source = (files("tasks") / "distill" / "adapter_card.md.j2").read_text("utf-8")
    return Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False).from_string(source)


def _command(plan: Distillation, part: Part) -> str:
    words = ["fineinstructions", "distill", plan.target, "--silver", "URL", "--out", "DIR", "--profile", plan.profile]
    words += [word for override in plan.overrides_of(part) for word in ("--set", override)]
    words += ["--start", plan.start] if plan.start else []
    return shlex.join(words + (["--base", plan.base] if plan.base else []))


def _rows(base: Nested, tuned: Nested, above: str = "") -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name, value in tuned.items():
        measure = f"{above}: {name}" if above else name
        if isinstance(value, Mapping):
            rows += _rows(base.get(name, {}), value, measure)
        else:
            rows.append({"measure": measure, "base": _figure(base.get(name)), "tuned": _figure(value)})
    return rows


def _figure(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else json.dumps(value) if value is not None else "-"


def _of_file(rejected: pl.DataFrame, name: str) -> pl.DataFrame:
    return rejected.filter(pl.col("id").str.starts_with(f"{name}:"))


def _tally(reasons: Sequence[str]) -> str:
    return ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons)))
