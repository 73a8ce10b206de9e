"""The temporary Prefect server of a command: mended, and out of reach of Ctrl-C.

Prefect starts and stops it; that it runs in `flows.server_process` is ours. A terminal sends Ctrl-C to every process of
a command. A server that heard it would be gone while Prefect still wants to report the interruption, which then takes
minutes of vain attempts. So the server starts with that signal blocked; Prefect stops it when the command ends.
Not covered: a command that is killed with -9; its server stays until it is killed too.
"""

import os
import signal
import subprocess
import sys

from prefect.client.orchestration import get_client
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

from flows.processes import HOST

EPHEMERAL = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""How Prefect 3.7 tells its server that it is temporary."""


def start_server() -> None:
    """Start the server, if the command needs one of its own; Ctrl-C waits until it runs."""
    mend_temporary_servers()
    # A process inherits the signals that are blocked where it is started.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with get_client(sync_client=True):
            pass
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def mend_temporary_servers() -> None:
    """Have Prefect start temporary servers in `flows.server_process`, or on SQLite they may stand still for minutes."""
    SubprocessASGIServer._run_uvicorn_command = _start  # type: ignore[assignment, method-assign]


def _start(server: SubprocessASGIServer) -> "subprocess.Popen[bytes]":
    """As Prefect does, but for the process."""
    command = [sys.executable, "-m", "flows.server_process", "uvicorn", "--factory"]
    options = ["--host", HOST, "--port", str(server.port), "--log-level", "error", "--lifespan", "on"]
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    return subprocess.Popen(
        [*command, "prefect.server.api.server:create_app", *options], env={**os.environ, **EPHEMERAL, **settings}
    )
