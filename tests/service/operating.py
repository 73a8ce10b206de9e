"""Somebody who operates a service: starts it, runs its deployments, looks at what they left."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.events.schemas.automations import AutomationCore
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.processes import Background, find
from tests.conftest import ROOT, free_port

SAMPLE = ROOT / "deployments" / "sample"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_CLIENT = httpx.Client(timeout=60)


def far_from_now() -> str:
    """A daily schedule that does not start while tests run; the nightly one took their slot at a quarter past two."""
    return f"{datetime.now(UTC) + timedelta(hours=12):%M %H * * *}"


@dataclass(frozen=True)
class Operator:
    """Somebody with a terminal and a browser, and a service of theirs."""

    folder: Path
    port: int
    engine: str
    """URL of the server that answers for the models."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the service has in its environment beside ours."""
    options: tuple[str, ...] = ()
    """Of `up`, beside those that every operator gives."""
    cron: str = field(default_factory=far_from_now)

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

    @property
    def service(self) -> Path:
        """The folder of records and logs."""
        return self.folder / "service"

    def command(self, *words: str) -> str:
        """One call of the command line; returns what it told."""
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *words],
            cwd=ROOT,
            env={**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "3", "OMP_NUM_THREADS": "1", **self.environment},
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def up(self) -> str:
        """Start what is not up."""
        return self.command(
            *("up", "--port", str(self.port), "--folder", str(self.service), "--store", str(self.store)),
            *("--profile", str(self.profile), "--queries", str(self.folder / "queries.jsonl")),
            *("--documents", str(self.folder / "documents" / "*.jsonl"), "--cron", self.cron),
            *self.options,
        )

    def down(self) -> str:
        """Stop everything."""
        return self.command("down", "--folder", str(self.service))

    def family(self, name: str) -> list[psutil.Process]:
        """A process of the service, and after it all that it has started."""
        found = find(self.service, name)
        assert found is not None, f"{name} does not run"
        return [found, *found.children(recursive=True)]

    def run(self, deployment: str, expected: str = "Completed", **parameters: Any) -> FlowRun:
        """Run a deployment to its end."""
        run = self.start(deployment, 280, **parameters)
        assert run.state is not None
        assert run.state.name == expected, f"{run.name}: {run.state}\n{self.log(run.id)}"
        return run

    def start(self, deployment: str, seconds: float = 0, **parameters: Any) -> FlowRun:
        """Start a run of a deployment and wait so long for its end."""
        with temporary_settings({PREFECT_API_URL: self.api}):
            run = run_deployment(deployment, parameters=parameters, poll_interval=1, timeout=seconds, as_subflow=False)
        assert isinstance(run, FlowRun)
        return run

    def wait(self, run_id: Any, seconds: float = 280) -> dict[str, Any]:
        """Wait for the end of a run; returns it."""
        wait_until(lambda: self.read_run(run_id)["state_type"] in FINAL, seconds)
        return self.read_run(run_id)

    def retry(self, run_id: Any) -> dict[str, Any]:
        """What the button Retry of the UI does; returns the run after its end."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        _CLIENT.post(f"{self.api}/flow_runs/{run_id}/set_state", json={"state": state}).raise_for_status()
        return self.wait(run_id)

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

    def unfinished(self) -> list[str]:
        """Names of runs that say that they work."""
        wanted = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
        return [run["name"] for run in self.ask("flow_runs", wanted)]

    def hasten(self, seconds: float) -> None:
        """Have the automations wait so long only, until the next `up`."""
        for automation in self.ask("automations", {}):
            wanted = {name: value for name, value in automation.items() if name in AutomationCore.model_fields}
            wanted["trigger"]["within"] = seconds
            _CLIENT.put(f"{self.api}/automations/{automation['id']}", json=wanted).raise_for_status()

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


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kills -9, in this order."""
    gone = list(processes)
    for process in gone:
        process.kill()
    psutil.wait_procs(gone, timeout=10)


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@contextmanager
def second_worker(operator: Operator) -> Iterator[None]:
    """One more worker of the pool `gpu`."""
    environment = {
        "PREFECT_API_URL": operator.api,
        "PREFECT_HOME": str(operator.service / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "3",
        "OMP_NUM_THREADS": "1",
    }
    command = ("worker", "start", "--type", "process", "--pool", "gpu", "--name", "second", "--limit", "1")
    Background("second", [sys.executable, "-m", "prefect", *command], environment).start(operator.service)
    try:
        yield
    finally:
        kill(operator.family("second"))


@contextmanager
def operating(folder: Path, engine: str, *options: str, **environment: str) -> Iterator[Operator]:
    """An operator whose service is up, with its templates mined and indexed."""
    operator = Operator(folder, free_port(), engine, environment, options)
    operator.profile.write_text(
        f'base = "{ROOT / "tests" / "data" / "die.toml"}"\n[engines.smollm2]\nkind = "server"\nurl = "{engine}"\n'
    )
    queries = (SAMPLE / "queries.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "queries.jsonl").write_text("".join(queries[:15]), "utf-8")
    try:
        operator.up()
        operator.run("mine-templates/manual")
        operator.run("build-index/manual")
        yield operator
    finally:
        operator.down()
