"""What the end of a run means: its own error, those of what it sums up, or none."""

from typing import Any

import pytest
from prefect import flow, task
from prefect.client.schemas.objects import State

from flows.states import errors, own_error, report, settled
from models.errors import ShardError, UsageError
from tasks import progress
from tests.notes import Notes

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


@task
def work(error: type[Exception] | None) -> str:
    """Fail in this way, or not."""
    if error is not None:
        raise error("on purpose")
    return "done"


@flow
def batch(kinds: list[Any]) -> list[State[Any]]:
    """A run that sums up others."""
    return [work(kind, return_state=True) for kind in kinds]


@flow
def batches(kinds: list[Any]) -> list[State[Any]]:
    """A run that sums up runs that sum up others."""
    return [batch([kind], return_state=True) for kind in kinds]


@flow
def broken() -> list[State[Any]]:
    """A run that does not come to its end."""
    raise OSError("the disk is gone")


def test_a_run_is_settled_when_all_it_sums_up_is() -> None:
    """Also when that is nothing."""
    state = batches([None], return_state=True)
    assert settled(state)
    assert list(errors(state)) == []
    assert settled(batch([], return_state=True))


def test_the_errors_behind_a_run_are_found_however_deep() -> None:
    """In order; the run itself came to its end."""
    state = batches([ShardError, None, ValueError], return_state=True)
    assert not settled(state)
    assert [type(error) for error in errors(state)] == [ShardError, ValueError]
    assert own_error(state) is None


def test_an_error_of_usage_is_raised_whatever_else_failed() -> None:
    """The caller can only give up."""
    with pytest.raises(UsageError, match="on purpose"):
        settled(batch([ShardError, UsageError], return_state=True))


def test_a_run_that_broke_off_raises_its_error() -> None:
    """There is nothing to sum up, and nothing after it can be trusted."""
    state = broken(return_state=True)
    assert isinstance(own_error(state), OSError)
    with pytest.raises(OSError, match="the disk is gone"):
        settled(state)


def test_failures_are_told_by_stage_and_name_but_errors_of_usage_are_not() -> None:
    """Those end the command, which says them once."""
    notes = Notes()
    with progress.listening(notes):
        found = report("match", "library-0", batch([ShardError, None, UsageError], return_state=True))
    assert [type(error) for error in found] == [ShardError, UsageError]
    assert notes.heard == [("fail", "match", "library-0", "on purpose")]
