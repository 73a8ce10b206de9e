"""Progress at a terminal: one bar a stage, with rate and ETA.

On a terminal the bars are live; without one each stage prints a plain line when it ends. All of it goes to standard
error, so that results on standard output stay clean.
"""

import time
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tasks.records import Stage

err = Console(stderr=True, highlight=False)


class RateColumn(ProgressColumn):
    """Rows a second since the stage began."""

    def render(self, task: Task) -> Text:
        """The rate, or a dash before the first row."""
        speed = task.completed / task.elapsed if task.elapsed and task.completed else None
        return Text(f"{speed:,.1f}/s" if speed else "-", style="cyan")


@dataclass
class Bar:
    """The bar of a running stage."""

    id: TaskID
    started: float
    rows: int = 0
    failures: int = 0


class Bars:
    """A progress listener: one bar a stage, live on a terminal, one plain line a stage elsewhere.

    What fails is told at once, in a line of its own.
    """

    def __init__(self) -> None:
        self.rows_done = 0
        """Input rows of all stages together."""
        self.failures = 0
        """Files and shards that failed, over all stages."""
        self._running: dict[Stage, Bar] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, stage: Stage, shards: int, rows: int) -> None:
        """Open a bar; `rows` is 0 where nobody knows their number yet."""
        if shards:
            self._running[stage] = Bar(self._progress.add_task(stage, total=rows or None), time.monotonic())

    def advance(self, stage: Stage, rows: int) -> None:
        """Move the bar."""
        if stage in self._running:
            self.rows_done += rows
            self._running[stage].rows += rows
            self._progress.advance(self._running[stage].id, rows)

    def fail(self, stage: Stage, name: str, error: BaseException) -> None:
        """Print what failed and why."""
        self.failures += 1
        if stage in self._running:
            self._running[stage].failures += 1
        err.print(f"[red]{stage} of {escape(name)}[/]: {type(error).__name__}: {escape(str(error))}", soft_wrap=True)

    def end(self, stage: Stage) -> None:
        """Close the bar, or print the line; a stage that found nothing to do leaves no trace."""
        bar = self._running.pop(stage, None)
        if bar is None:
            return
        if bar.failures:
            self._progress.stop_task(bar.id)
        elif bar.rows:
            self._progress.update(bar.id, total=bar.rows)
        else:
            self._progress.remove_task(bar.id)
        if bar.rows and not err.is_terminal:
            seconds = time.monotonic() - bar.started
            rate = bar.rows / max(seconds, 1e-9)
            err.print(f"{stage:<12} {bar.rows:>9,} rows {seconds:>8.1f} s {rate:>9.1f} rows/s")
