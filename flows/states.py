"""What the end of a flow or task run means for whoever called it."""

from collections.abc import Iterator
from typing import Any

from prefect.client.schemas.objects import State

from models.errors import UsageError
from tasks import progress
from tasks.records import Stage


def settled(state: State[Any]) -> bool:
    """Whether all went well; if not, the run came to its end, but some of what it sums up failed.

    Raises:
        UsageError: when something ended because of what the user gave; nothing after it can work.
        BaseException: what ended the run itself.
    """
    for error in errors(state):
        if isinstance(error, UsageError):
            raise error
    if (broken := own_error(state)) is not None:
        raise broken
    return state.is_completed()


def own_error(state: State[Any]) -> BaseException | None:
    """What ended a run before it could sum up; None when it came to its end, well or not."""
    found = _result(state)
    return found if isinstance(found, BaseException) else None


def errors(state: State[Any]) -> Iterator[BaseException]:
    """The errors behind a state: its own, or those of the states it sums up."""
    found = _result(state)
    if isinstance(found, BaseException):
        yield found
    elif isinstance(found, list):
        for child in found:
            yield from errors(child)


def _result(state: State[Any]) -> Any:
    """What a run that did not complete left behind: an error, or the states it sums up."""
    return None if state.is_completed() else state.result(raise_on_failure=False)


def report(stage: Stage, name: str, state: State[Any]) -> list[BaseException]:
    """Tell whoever listens which shard or file failed and why; returns the errors.

    A `UsageError` is not told: it ends the command, which says it.
    """
    found = list(errors(state))
    for error in found:
        if not isinstance(error, UsageError):
            progress.fail(stage, name, error)
    return found
