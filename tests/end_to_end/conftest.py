"""Runs of the real command in processes of their own, against a server that obeys grammars."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port, wait_for

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deployments" / "sample"


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real Prefect server with a database of its own."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"],
        env={**os.environ, "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")), "DO_NOT_TRACK": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}/api"
    wait_for(f"{url}/health")
    yield url
    process.terminate()
    process.wait(30)


@dataclass
class Project:
    """A user's folder: inputs, a store, and the command to run on them."""

    folder: Path
    server: str
    prefect_api: str
    """URL of the Prefect server; empty for one of the process's own."""

    @property
    def documents(self) -> Path:
        """The documents file."""
        return self.folder / "documents.jsonl"

    @property
    def queries(self) -> Path:
        """The queries file."""
        return self.folder / "queries.jsonl"

    def command(self, verb: str, *options: str, store: str = "store") -> list[str]:
        """Arguments of one call of the command."""
        inputs = {
            "run": ["--queries", str(self.queries), "--documents", str(self.folder / "documents*.jsonl")],
            "mine": ["--queries", str(self.queries)],
            "ingest": ["--documents", str(self.folder / "documents*.jsonl")],
        }
        profile = [
            "--profile",
            str(ROOT / "tests" / "data" / "die.toml"),
            "--set",
            f"engines.smollm2.url={self.server}",
        ]
        place = ["--store", str(self.folder / store)]
        return [sys.executable, "-m", "flows.cli", verb, *options, *inputs.get(verb, []), *place, *profile]

    def _environment(self) -> dict[str, str]:
        home = {"PREFECT_HOME": str(self.folder / "prefect")}
        return {**home, "PREFECT_API_URL": self.prefect_api} if self.prefect_api else home

    def start(self, verb: str, *options: str, store: str = "store") -> subprocess.Popen[str]:
        """Start a call and do not wait."""
        return subprocess.Popen(
            self.command(verb, *options, store=store),
            cwd=ROOT,
            env={**os.environ, **self._environment(), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, verb: str, *options: str, store: str = "store", code: int = 0) -> Any:
        """Run a call with `--json` to its end; returns what it printed, parsed."""
        process = self.start(verb, "--json", *options, store=store)
        output, errors = process.communicate(timeout=280)
        assert process.returncode == code, errors[-4000:]
        return json.loads(output) if output else errors

    def receipts(self, store: str = "store") -> dict[str, float]:
        """Receipts in the store and when they were written."""
        return {
            str(path.relative_to(self.folder / store)): path.stat().st_mtime
            for path in (self.folder / store).rglob("receipt.json")
        }


@pytest.fixture
def project(tmp_path: Path, server: str, prefect_api: str) -> Project:
    """Ten documents and thirty queries of the sample."""
    made = Project(tmp_path, server, prefect_api)
    made.documents.write_text("".join((SAMPLE / "documents.jsonl").open().readlines()[:10]))
    made.queries.write_text("".join((SAMPLE / "queries.jsonl").open().readlines()[:30]))
    return made
