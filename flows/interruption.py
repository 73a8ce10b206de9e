"""Ctrl-C and `kill` end a command, whenever they come.

Prefect 3.7 drops an interruption that meets a flow run between the end of its code and its last word to the
server: the run is then finished and the caller goes on with the next one. So it is noted here, and raised again
before more is begun.
"""

import signal
from types import FrameType

_heard: list[int] = []


def listen() -> None:
    """Have both signals raise `KeyboardInterrupt` in the main thread, and be noted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _hear)


def check() -> None:
    """End here what was interrupted before.

    Raises:
        KeyboardInterrupt: a signal came, whatever became of the interruption that it raised.
    """
    if _heard:
        raise KeyboardInterrupt


def _hear(number: int, _: FrameType | None) -> None:
    _heard.append(number)
    raise KeyboardInterrupt
