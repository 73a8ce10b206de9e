"""Progress of the running stage, for whoever listens: bars in a terminal, artifacts on a server, nobody in a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tasks.records import Stage


class Listener(Protocol):
    """Hears of every finished part and of everything that failed."""

    def begin(self, stage: Stage, shards: int, rows: int) -> None:
        """A stage starts on `shards` pending shards with `rows` input rows."""
        ...

    def advance(self, stage: Stage, rows: int) -> None:
        """`rows` more input rows are done."""
        ...

    def fail(self, stage: Stage, name: str, error: BaseException) -> None:
        """The stage failed on the shard or file of this name; it goes on with the others."""
        ...

    def end(self, stage: Stage) -> None:
        """The stage has ended, well or not."""
        ...


_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell this listener of all progress in this process, while the context lasts."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def begin(stage: Stage, shards: int, rows: int) -> None:
    """A stage starts."""
    for listener in _listeners:
        listener.begin(stage, shards, rows)


def advance(stage: Stage, rows: int) -> None:
    """Some rows are done."""
    for listener in _listeners:
        listener.advance(stage, rows)


def fail(stage: Stage, name: str, error: BaseException) -> None:
    """A shard or file has failed."""
    for listener in _listeners:
        listener.fail(stage, name, error)


def end(stage: Stage) -> None:
    """A stage has ended."""
    for listener in _listeners:
        listener.end(stage)
