"""What a benchmark gives: figures with their targets, and the table that shows them."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.table import Table


@dataclass(frozen=True)
class Target:
    """The least or the greatest value that is good enough."""

    kind: Literal["at least", "at most"]
    bound: float

    def met(self, value: float) -> bool:
        """Whether a measured value is good enough."""
        return value >= self.bound if self.kind == "at least" else value <= self.bound


@dataclass(frozen=True)
class Figure:
    """One measured value; `detail` says what it was measured on and what it is made of. Some have no target."""

    name: str
    value: float
    unit: str
    target: Target | None
    detail: str


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the defaults are those of the stated figures.

    Args:
        documents: Documents that an engine is asked about.
        templates: Templates per document.
        rounds: Times that the sides of a comparison are run, in turn; the medians are compared.
        texts: Texts that are embedded.
        descriptions: Most descriptions in the index.
        shards: Finished shards, those of `worked` among them.
        worked: Shards that go through the stages under Prefect.
        gigabytes: Size of the input file (10^9 bytes).
    """

    documents: int = 20
    templates: int = 6
    rounds: int = 3
    texts: int = 200
    descriptions: int = 4000
    shards: int = 1000
    worked: int = 50
    gigabytes: float = 2.0


def tabulate(figures: Iterable[Figure]) -> Table:
    """Figures as a table, one a row."""
    table = Table(title=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in ("figure", "measured", "target", "verdict"):
        table.add_column(name, overflow="fold")
    table.add_column("measured on", style="dim", overflow="fold", ratio=1)
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", *_judged(figure), figure.detail)
    return table


def _judged(figure: Figure) -> tuple[str, str]:
    if figure.target is None:
        return "", ""
    verdict = "[green]met" if figure.target.met(figure.value) else "[red]missed"
    return f"{figure.target.kind} {figure.target.bound:g}", verdict
