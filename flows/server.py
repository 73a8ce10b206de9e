"""The temporary Prefect server of a command, out of reach of Ctrl-C.

A terminal sends Ctrl-C to every process of a command. A server that heard it would be gone while Prefect still wants to
report the interruption, which then takes minutes of vain attempts. So the server starts with that signal blocked;
Prefect stops it when the command ends.
Not covered: a command that is killed with -9; its server stays until it is killed too.
"""

import signal

from prefect.client.orchestration import get_client


def start_server() -> None:
    """Start the server, if the command needs one of its own; Ctrl-C waits until it runs."""
    # A process inherits the signals that are blocked where it is started.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with get_client(sync_client=True):
            pass
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
