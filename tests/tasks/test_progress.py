"""Whoever listens hears everything, in order; whoever stopped hears nothing."""

import pytest

from tasks import progress
from tests.notes import Notes


def tell() -> None:
    """A whole stage."""
    progress.begin("match", 2, 20)
    progress.advance("match", 10)
    progress.fail("match", "library-1", ValueError("torn"))
    progress.end("match")


TOLD = [("begin", "match", 2, 20), ("advance", "match", 10), ("fail", "match", "library-1", "torn"), ("end", "match")]


def test_every_listener_hears_everything_in_order() -> None:
    """Two at a time, one inside the other."""
    outer, inner = Notes(), Notes()
    with progress.listening(outer):
        with progress.listening(inner):
            tell()
        progress.advance("judge", 1)
    assert inner.heard == TOLD
    assert outer.heard == [*TOLD, ("advance", "judge", 1)]


def test_nobody_needs_to_listen() -> None:
    """Stages run in tests and workers without bars."""
    tell()


def test_a_listener_is_gone_after_an_error() -> None:
    """The next command does not draw on the bars of the last one."""
    notes = Notes()
    with pytest.raises(KeyboardInterrupt), progress.listening(notes):
        raise KeyboardInterrupt
    tell()
    assert notes.heard == []
