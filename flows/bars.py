"""Progress at a terminal: one bar a stage, with rate and ETA.

On a terminal the bars are live; without one each stage prints a plain line when it ends. All of it goes to standard
error, so that results on standard output stay clean.
"""

import time

from rich.console import Console
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


class Bars:
    """A progress listener: one bar a stage, live on a terminal, one plain line a stage elsewhere."""

    def __init__(self) -> None:
        self._tasks: dict[Stage, TaskID] = {}
        self._started: dict[Stage, float] = {}
        self._rows: dict[Stage, int] = {}
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

    @property
    def rows_done(self) -> int:
        """Input rows of all stages together."""
        return sum(self._rows.values())

    def begin(self, stage: Stage, shards: int, rows: int) -> None:
        """Open the stage's bar, or make it longer."""
        if not shards:
            return
        self._started.setdefault(stage, time.monotonic())
        self._rows.setdefault(stage, 0)
        if stage in self._tasks:
            total = (self._progress.tasks[self._tasks[stage]].total or 0) + rows
            self._progress.update(self._tasks[stage], total=total or None)
        else:
            self._tasks[stage] = self._progress.add_task(stage, total=rows or None)

    def advance(self, stage: Stage, rows: int) -> None:
        """Move the bar."""
        if stage in self._tasks:
            self._rows[stage] += rows
            self._progress.advance(self._tasks[stage], rows)

    def end(self, stage: Stage) -> None:
        """Close the bar, or print the line."""
        if stage not in self._tasks:
            return
        rows, seconds = self._rows[stage], time.monotonic() - self._started[stage]
        self._progress.update(self._tasks[stage], total=rows or 1, completed=rows or 1)
        if not err.is_terminal:
            err.print(f"{stage:<12} {rows:>9,} rows {seconds:>8.1f} s {rows / max(seconds, 1e-9):>9.1f} rows/s")
