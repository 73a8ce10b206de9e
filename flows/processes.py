"""Processes that outlive the command that starts them: started once, found by their records, stopped by their ids.

A record holds process id and start time, so that a process that got the same id later is never taken for ours.
Not covered: processes of other machines, and restarting what dies; a fleet has its own supervisor for that.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE = 30.0
"""Seconds that a process gets to end by itself."""


@dataclass(frozen=True)
class Background:
    """A process to be kept: its name, its command, what its environment has more than ours."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]

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
        _record(folder, self.name).write_text(json.dumps({"pid": started.pid, "created": created}), "utf-8")
        return True


def find(folder: Path, name: str) -> psutil.Process | None:
    """The running process of a name, if it is still the one that was started."""
    try:
        record = json.loads(_record(folder, name).read_text("utf-8"))
        process = psutil.Process(record["pid"])
        alive = process.create_time() == record["created"] and process.status() != psutil.STATUS_ZOMBIE
        return process if alive else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def stop_all(folder: Path) -> list[str]:
    """End all processes that have a record, the last started first, with their children; returns their names."""
    records = sorted(folder.glob("*.pid.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    stopped = []
    for record in records:
        name = record.name.removesuffix(".pid.json")
        if process := find(folder, name):
            _stop(process)
            stopped.append(name)
        record.unlink()
    return stopped


def _stop(process: psutil.Process) -> None:
    family = [*process.children(recursive=True), process]
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    for left in alive:
        left.kill()
    psutil.wait_procs(alive, timeout=PATIENCE)


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.pid.json"
