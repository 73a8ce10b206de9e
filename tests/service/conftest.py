"""The real service: server, workers and runs in processes of their own, models that are asked over HTTP."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deployments" / "sample"
_CLIENT = httpx.Client(timeout=60)
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Operator:
    """Somebody with a terminal and a browser, and a service of theirs."""

    folder: Path
    port: int
    engine: str
    """URL of the server that answers for the models."""

    @property
    def api(self) -> str:
        """URL of the Prefect API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.folder / "store"

    @property
    def profile(self) -> Path:
        """The file of their settings."""
        return self.folder / "profile.toml"

    def command(self, *words: str) -> str:
        """One call of the command line; returns what it told."""
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *words],
            cwd=ROOT,
            env={**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "3", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def up(self) -> str:
        """Start what is not up."""
        return self.command(
            *("up", "--port", str(self.port), "--folder", str(self.folder / "service"), "--store", str(self.store)),
            *("--profile", str(self.profile), "--queries", str(self.folder / "queries.jsonl")),
            *("--documents", str(self.folder / "documents" / "*.jsonl")),
        )

    def down(self) -> str:
        """Stop everything."""
        return self.command("down", "--folder", str(self.folder / "service"))

    def run(self, deployment: str, expected: str = "Completed", **parameters: Any) -> FlowRun:
        """Run a deployment to its end."""
        with temporary_settings({PREFECT_API_URL: self.api}):
            run = run_deployment(deployment, parameters=parameters, poll_interval=1, timeout=280, as_subflow=False)
        assert isinstance(run, FlowRun)
        assert run.state is not None
        assert run.state.name == expected, f"{run.name}: {run.state}\n{self.log(run.id)}"
        return run

    def retry(self, run_id: Any) -> dict[str, Any]:
        """What the button Retry of the UI does; returns the run after its end."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        _CLIENT.post(f"{self.api}/flow_runs/{run_id}/set_state", json={"state": state}).raise_for_status()
        wait_until(lambda: self.read_run(run_id)["state_type"] in FINAL)
        return self.read_run(run_id)

    def read_run(self, run_id: Any) -> dict[str, Any]:
        """A run as it is now."""
        found: dict[str, Any] = _CLIENT.get(f"{self.api}/flow_runs/{run_id}").raise_for_status().json()
        return found

    def log(self, run_id: Any) -> str:
        """What a run has logged."""
        wanted = {"logs": {"flow_run_id": {"any_": [str(run_id)]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(line["message"] for line in self.ask("logs", wanted))

    def ask(self, what: str, filters: dict[str, Any]) -> list[dict[str, Any]]:
        """All objects of a kind on the server."""
        found: list[dict[str, Any]] = _CLIENT.post(f"{self.api}/{what}/filter", json=filters).raise_for_status().json()
        return found

    def batches(self, run_id: Any) -> list[dict[str, Any]]:
        """What a planner sent to the GPU pool, oldest first."""
        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [str(run_id)]}}, "sort": "START_TIME_ASC"}
        return [run for run in self.ask("flow_runs", wanted) if run["work_pool_name"] == "gpu"]

    def artifact(self, key: str) -> str:
        """The newest artifact of a key."""
        (found,) = self.ask("artifacts/latest", {"artifacts": {"key": {"any_": [key]}}})
        return str(found["data"])

    def figures(self) -> str:
        """What Prometheus would read."""
        return _CLIENT.get(f"http://127.0.0.1:{self.port + 1}/metrics").raise_for_status().text

    def asked(self) -> int:
        """How many completions the models were asked for."""
        return int(_CLIENT.get(f"{self.engine}/asked").json()["asked"])


@dataclass(frozen=True)
class Pile:
    """A corpus of its own on the service: a folder of files, and what the store has of it."""

    operator: Operator
    name: str

    @property
    def folder(self) -> Path:
        """Where files arrive."""
        return self.operator.folder / "piles" / self.name

    @property
    def documents(self) -> list[str]:
        """The parameter `documents`."""
        return [str(self.folder / "*.jsonl")]

    @property
    def scope(self) -> dict[str, Any]:
        """The parameter `scope`."""
        return {"store": str(self.operator.store), "corpus": self.name, "profile": str(self.operator.profile)}

    def write(self, file: str, first: int, last: int) -> None:
        """A file of documents of the sample."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = (SAMPLE / "documents.jsonl").read_text("utf-8").splitlines(keepends=True)
        (self.folder / f"{file}.jsonl").write_text("".join(lines[first:last]), "utf-8")

    def ingest(self, expected: str = "Completed") -> FlowRun:
        """A run of the scheduled ingestion."""
        return self.operator.run(
            "ingest-corpus/scheduled", expected, scope=self.scope, documents=self.documents, release=True
        )

    def receipts(self) -> dict[Path, float]:
        """Receipts of document shards and when they were written."""
        folder = self.operator.store / "shards" / self.name
        return {path.relative_to(folder): path.stat().st_mtime for path in folder.rglob("receipt.json")}


def made(before: dict[Path, float], after: dict[Path, float]) -> dict[str, set[str]]:
    """Stage to input files whose shards got a receipt between two moments."""
    found: dict[str, set[str]] = {}
    for path in (path for path, when in after.items() if before.get(path) != when):
        shard, stage = path.parts[0], path.parts[1].rpartition("-")[0]
        found.setdefault(stage, set()).add(shard.rsplit("-", 2)[0])
    return found


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@contextmanager
def operating(folder: Path, engine: str) -> Iterator[Operator]:
    """An operator whose service is up."""
    operator = Operator(folder, free_port(), engine)
    operator.profile.write_text(
        f'base = "{ROOT / "tests" / "data" / "die.toml"}"\n[engines.smollm2]\nkind = "server"\nurl = "{engine}"\n'
    )
    queries = (SAMPLE / "queries.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "queries.jsonl").write_text("".join(queries[:15]), "utf-8")
    try:
        operator.up()
        yield operator
    finally:
        operator.down()


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Operator]:
    """One service for all tests of the session, with its templates mined and indexed."""
    with operating(tmp_path_factory.mktemp("operator"), server) as operator:
        operator.run("mine-templates/manual")
        operator.run("build-index/manual")
        yield operator
