"""What a person sees of progress without a terminal: a line a stage, and what failed at once."""

import pytest
from rich.progress import Task

from flows.bars import Bars


def bars_of(bars: Bars) -> list[Task]:
    """The bars on the screen."""
    return list(bars._progress.tasks)


def test_a_stage_ends_with_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, seconds, rate; standard output stays clean."""
    with Bars() as bars:
        bars.begin("match", 2, 30)
        bars.advance("match", 10)
        bars.advance("match", 20)
        bars.end("match")
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("match               30 rows")
    assert (bars.rows_done, bars.failures) == (30, 0)


def test_the_same_stage_begun_again_has_a_bar_of_its_own() -> None:
    """Queries and documents are both ingested: the second total does not start where the first one ended."""
    with Bars() as bars:
        bars.begin("ingest", 1, 0)
        bars.advance("ingest", 40)
        bars.end("ingest")
        bars.begin("ingest", 1, 10)
        bars.advance("ingest", 5)
        assert [(bar.completed, bar.total) for bar in bars_of(bars)] == [(40, 40), (5, 10)]
    assert bars.rows_done == 45


def test_a_stage_with_nothing_to_do_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """A second run is quiet."""
    with Bars() as bars:
        bars.begin("match", 0, 0)
        bars.begin("release", 1, 0)
        bars.end("release")
        bars.end("match")
        assert bars_of(bars) == []
    assert capsys.readouterr() == ("", "")
    assert bars.rows_done == 0


def test_a_failure_is_told_at_once_and_its_bar_stays_short(capsys: pytest.CaptureFixture[str]) -> None:
    """With stage, shard and reason on one line, as they are and not as markup."""
    with Bars() as bars:
        bars.begin("match", 2, 30)
        bars.advance("match", 10)
        bars.fail("match", "library-1", ValueError(f"[red] is no colour here {'x' * 200}"))
        bars.end("match")
        (bar,) = bars_of(bars)
        assert (bar.completed, bar.total, bar.finished) == (10, 30, False)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("match of library-1: ValueError: [red] is no colour here xxx")
    assert second.startswith("match")
    assert bars.failures == 1


def test_progress_of_a_stage_that_nobody_began_is_ignored() -> None:
    """A stage run by itself, as `index` in a test."""
    with Bars() as bars:
        bars.advance("judge", 3)
        bars.end("judge")
    assert bars.rows_done == 0
