"""A PostgreSQL server of its own for a test, as the operator of a fleet has one."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.service.operating import wait_until

USER = "postgres"
"""Who runs it where the tests run as root, as which it refuses to run."""


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database for Prefect; the test is skipped where no server is installed."""
    programs = _programs()
    as_user: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
    folder, port = Path(tempfile.mkdtemp(prefix="fineinstructions-postgres-")), free_port()
    if as_user:
        shutil.chown(folder, USER, USER)
    initialise = [programs / "initdb", "--pgdata", folder / "data", "--username=prefect", "--auth=trust"]
    subprocess.run(initialise, check=True, capture_output=True, cwd=folder, **as_user)
    command = [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder]
    with open(folder / "postgres.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **as_user)
    ask = [programs / "psql", "--host=127.0.0.1", f"--port={port}", "--username=prefect"]
    try:
        ready = [*ask, "--dbname=postgres", "--command=select 1"]
        wait_until(lambda: subprocess.run(ready, capture_output=True).returncode == 0)
        create = [*ask, "--dbname=postgres", "--command=create database prefect"]
        subprocess.run(create, check=True, capture_output=True)
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs a PostgreSQL server, as Debian's package postgresql")
    return found[-1].parent
