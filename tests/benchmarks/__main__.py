"""`python -m tests.benchmarks [GROUP ...]`: measure and print the figures of all groups, or of some.

Each group runs in a fresh process, so that no model of one is in the memory of another; one after the other, so that
they do not compete. Prefect keeps its database in a folder of its own, which is removed. Targets that are missed are
shown, not raised: the figures depend on the machine. A group that breaks off costs its own figures and those after it.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from tests.benchmarks.figures import Figure, Sizes, tabulate
from tests.benchmarks.groups import Group, measure

PLAIN_WIDTH = 150

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    groups: Annotated[list[Group] | None, typer.Argument(help="All, when none is given.")] = None,
    documents: Annotated[int, typer.Option(min=1, max=40, help="engine, layout: documents.")] = Sizes.documents,
    templates: Annotated[int, typer.Option(min=1, max=12, help="engine, layout: per document.")] = Sizes.templates,
    rounds: Annotated[int, typer.Option(min=1, help="engine, layout, match: of each side.")] = Sizes.rounds,
    texts: Annotated[int, typer.Option(min=1, help="match: texts to embed.")] = Sizes.texts,
    descriptions: Annotated[int, typer.Option(min=100, help="match: in the index.")] = Sizes.descriptions,
    shards: Annotated[int, typer.Option(min=1, help="storage: finished shards.")] = Sizes.shards,
    worked: Annotated[int, typer.Option(min=1, help="storage: those that Prefect runs.")] = Sizes.worked,
    gigabytes: Annotated[float, typer.Option(min=0.001, help="memory: of the input file.")] = Sizes.gigabytes,
) -> None:
    """Measure figures and print them beside their targets."""
    sizes = Sizes(documents, templates, rounds, texts, descriptions, max(shards, worked), worked, gigabytes)
    console, figures = Console(), list[Figure]()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    with TemporaryDirectory(prefix="fineinstructions-bench-prefect-", ignore_cleanup_errors=True) as home:
        os.environ.update(
            PREFECT_HOME=home,
            PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL",
            PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
        )
        try:
            with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
                for group in groups or Group:
                    with console.status(f"measuring {group}"):
                        figures += pool.submit(measure, group, sizes).result()
        finally:
            console.print(tabulate(figures))


if __name__ == "__main__":
    app()
