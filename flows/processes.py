"""Processes that outlive the command that starts them: started once, found by their records, stopped by their ids.

A record holds process id and start time, so that a process that got the same id later is never taken for ours, and
what the process keeps to while it runs, so that whoever wants it otherwise is told.
Not covered: processes of other machines, and restarting what dies; a fleet has its own supervisor for that.
"""

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from models.errors import UsageError

HOST = "127.0.0.1"
"""Where everything listens."""

RECORD = ".pid.json"
"""How the name of a record ends."""

PATIENCE = 30.0
"""Seconds that a process gets to end by itself."""


@dataclass(frozen=True)
class Background:
    """A process to be kept: its name, its command, what its environment has more than ours.

    It listens on `port`, if that is not 0; `database` is the digest of the URL of its database.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int = 0
    database: str = ""

    def check(self, folder: Path) -> None:
        """Refuse what cannot be had.

        Raises:
            UsageError: it runs with another port or database, or something else has its port.
        """
        if find(folder, self.name):
            record = _read(folder, self.name)
            for what, wanted in (("port", self.port), ("database", self.database)):
                if record.get(what, wanted) != wanted:
                    raise UsageError(f"the {self.name} of {folder} runs with another {what}; `down` first, then `up`")
        elif self.port and _is_taken(self.port):
            raise UsageError(
                f"port {self.port} is taken by something that `up` has not started in {folder}; stop that, or give "
                "another --port"
            )

    def start(self, folder: Path) -> bool:
        """Start it, output to `NAME.log`; False when it runs already."""
        if find(folder, self.name):
            return False
        with open(folder / f"{self.name}.log", "ab") as log:
            started = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        created = psutil.Process(started.pid).create_time()
        record = {"pid": started.pid, "created": created, "port": self.port, "database": self.database}
        try:
            _write(folder, self.name, record)
        except OSError:
            # Without a record nobody would ever stop it.
            started.kill()
            raise
        return True


def find(folder: Path, name: str) -> psutil.Process | None:
    """The running process of a name, if it is still the one that was started."""
    try:
        record = _read(folder, name)
        process = psutil.Process(record["pid"])
        alive = process.create_time() == record["created"] and process.status() != psutil.STATUS_ZOMBIE
        return process if alive else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None


def stop_all(folder: Path, last: str = "") -> list[str]:
    """End all processes that have a record, with their children; returns their names.

    Args:
        folder: Where the records are.
        last: The process that the others need, and that ends after them.
    """
    names = [record.name.removesuffix(RECORD) for record in folder.glob(f"*{RECORD}")]
    stopped = []
    for name in sorted(names, key=lambda name: (name == last, name)):
        if process := find(folder, name):
            _stop(process)
            stopped.append(name)
        _record(folder, name).unlink()
    return stopped


def _stop(process: psutil.Process) -> None:
    family = [*process.children(recursive=True), process]
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    for left in alive:
        left.kill()
    psutil.wait_procs(alive, timeout=PATIENCE)


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}{RECORD}"


def _write(folder: Path, name: str, record: Mapping[str, object]) -> None:
    hidden = folder / f".{name}{RECORD}"
    # The digest of a password is nobody else's business either.
    hidden.touch(0o600)
    hidden.write_text(json.dumps(record), "utf-8")
    hidden.replace(_record(folder, name))


def _read(folder: Path, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(_record(folder, name).read_text("utf-8"))
    return record


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
