"""What the end of a flow or task run means for whoever called it."""

from collections.abc import Iterator
from typing import Any

from prefect.client.schemas.objects import State

from models.errors import UsageError


def settled(state: State[Any]) -> bool:
    """Whether all went well.

    Raises:
        UsageError: when something ended because of what the user gave; nothing after it can work.
    """
    for error in errors(state):
        if isinstance(error, UsageError):
            raise error
    return state.is_completed()


def errors(state: State[Any]) -> Iterator[BaseException]:
    """The errors behind a state: its own, or those of the states it sums up."""
    if state.is_completed():
        return
    found = state.result(raise_on_failure=False)
    if isinstance(found, BaseException):
        yield found
    elif isinstance(found, list):
        for child in found:
            yield from errors(child)
