"""The service on one machine: server, pools, deployments, workers and metrics, up and down with one command each.

Everything listens on 127.0.0.1. Server and workers are processes of their own that outlive the command; their records,
logs, database and figures lie in one folder. `up` again starts only what is missing and deploys anew; it never deploys
onto a server that it has not started.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from flows.kept import Given, keep
from flows.processes import HOST, Background, find, stop_all
from flows.server_setup import prepare
from models.digests import digest
from models.errors import FineInstructionsError, UsageError

DEPLOYMENTS = Path(__file__).parents[1] / "deployments" / "prefect.yaml"
READY = 120.0
"""Seconds that the server gets to answer; a new database takes most of them."""


@dataclass(frozen=True)
class Corpus:
    """What the deployments work on unless a form says otherwise."""

    store: str
    queries: str
    documents: str
    profile: str
    cron: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables of `deployments/prefect.yaml`; runs start in the folder of the call."""
        return {"FINEINSTRUCTIONS_HOME": os.getcwd()} | {
            f"FINEINSTRUCTIONS_{name.upper()}": value for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class Service:
    """What the service on this machine is to be."""

    folder: Path
    corpus: Corpus
    database: str
    alerts: str
    port: int
    planners: int

    @property
    def url(self) -> str:
        """Address of the UI."""
        return f"http://{HOST}:{self.port}"

    @property
    def metrics_port(self) -> int:
        """Port on which the workers' figures are served."""
        return self.port + 1

    @property
    def metrics_url(self) -> str:
        """Address that Prometheus reads."""
        return f"http://{HOST}:{self.metrics_port}/metrics"

    @property
    def environment(self) -> dict[str, str]:
        """What server, workers and runs have in their environment beside ours; no secret is in it."""
        return {
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
            "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics"),
            **self.corpus.environment,
        }


def up(service: Service, given: Given) -> list[str]:
    """Start what does not run yet; returns the names of what was started.

    Args:
        service: What is wanted.
        given: What is to be kept of it for the next time.

    Raises:
        UsageError: what runs has another port or database, something else has the port, or the deployments cannot be
            made.
        FineInstructionsError: the server does not come up; its log says why.
    """
    server, workers = _server(service), tuple(_workers(service))
    if not any(find(service.folder, process.name) for process in (server, *workers)):
        # Figures of processes that are gone; a counter may begin anew, as every reader of counters knows.
        shutil.rmtree(service.folder / "metrics", ignore_errors=True)
    for name in ("metrics", "prefect"):
        (service.folder / name).mkdir(parents=True, exist_ok=True)
    for process in (server, *workers):
        process.check(service.folder)
    started = [server.name] if server.start(service.folder) else []
    _wait(service)
    # Before anything is deployed, so that no kill leaves deployments that the next `up` knows nothing of.
    keep(service.folder, given)
    with temporary_settings({PREFECT_API_URL: f"{service.url}/api"}):
        deploy(service.environment, service.planners, service.alerts)
    return started + [process.name for process in workers if process.start(service.folder)]


def deploy(environment: Mapping[str, str], planners: int, alerts: str) -> None:
    """Pools, queues, automations and deployments on the server that Prefect is set to.

    Args:
        environment: The variables of `deployments/prefect.yaml`.
        planners: Runs of the cpu pool at a time.
        alerts: Notification block as TYPE/NAME; empty means no alerts.

    Raises:
        UsageError: Prefect is set to no server, it does not answer, or the deployments cannot be made.
    """
    url = PREFECT_API_URL.value()
    if not url:
        raise UsageError("no PREFECT_API_URL is set; expected that of a Prefect server, as http://127.0.0.1:4200/api")
    try:
        with get_client(sync_client=True) as client:
            prepare(client, planners, alerts)
    except httpx.HTTPError as error:
        raise UsageError(f"{url} does not serve: {error}; start the server, or correct PREFECT_API_URL") from error
    done = subprocess.run(
        _prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise UsageError(f"the deployments cannot be made:\n{done.stdout}\n{done.stderr}")


def down(folder: Path) -> list[str]:
    """Stop what `up` has started, workers before the server; returns the names."""
    return stop_all(folder, last="server")


def _server(service: Service) -> Background:
    command = [sys.executable, "-m", "flows.server_process", "prefect", "server", "start"]
    address = ["--host", HOST, "--port", str(service.port)]
    database = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": service.database} if service.database else {}
    return Background(
        "server", [*command, *address], {**service.environment, **database}, service.port, digest(service.database)
    )


def _workers(service: Service) -> Iterator[Background]:
    metrics = [sys.executable, "-m", "flows.cli", "metrics", "--port", str(service.metrics_port)]
    yield Background("metrics", metrics, service.environment, service.metrics_port)
    # How many planners run at a time is the pool's to say.
    worker = _prefect("worker", "start", "--type", "process", "--pool", "cpu", "--name", "cpu")
    yield Background("worker-cpu", worker, service.environment)
    for number, gpu in enumerate(_gpus() or [""]):
        name = f"gpu-{number}"
        worker = _prefect("worker", "start", "--type", "process", "--pool", "gpu", "--name", name, "--limit", "1")
        pinned = {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
        yield Background(f"worker-{name}", worker, {**service.environment, **pinned})


def _gpus() -> list[str]:
    """The GPUs of this machine that are ours to use, as CUDA names them."""
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]


def _wait(service: Service) -> None:
    @retry(
        stop=stop_after_delay(READY), wait=wait_fixed(0.5), retry=retry_if_exception_type(httpx.HTTPError), reraise=True
    )
    def ask() -> None:
        httpx.get(f"{service.url}/api/health", timeout=5).raise_for_status()

    try:
        ask()
    except httpx.HTTPError as error:
        raise FineInstructionsError(
            f"the server did not answer at {service.url} within {READY:.0f} s ({error}); server.log in "
            f"{service.folder} says why"
        ) from error


def _prefect(*words: str) -> list[str]:
    return [sys.executable, "-m", "prefect", *words]
