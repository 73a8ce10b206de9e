"""The commands that run the system as a service: `up`, `down`, `deploy`, `metrics`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.options import Store

app = typer.Typer()

Queries = Annotated[str, typer.Option(help="fsspec glob of query files.", envvar="FINEINSTRUCTIONS_QUERIES")]
Documents = Annotated[
    str, typer.Option(help="fsspec glob of document files, the whole corpus.", envvar="FINEINSTRUCTIONS_DOCUMENTS")
]
Profile = Annotated[str, typer.Option(help="tiny, paper, server, or a TOML file.", envvar="FINEINSTRUCTIONS_PROFILE")]
Cron = Annotated[str, typer.Option(help="When the corpus is looked at, UTC.", envvar="FINEINSTRUCTIONS_CRON")]
Alerts = Annotated[str, typer.Option(help="Notification block TYPE/NAME on the server; empty: no alerts.")]
Planners = Annotated[int, typer.Option(min=1, help="Planner runs at a time.")]
Folder = Annotated[str, typer.Option(help="Records, logs, database and figures of the service.")]
Database = Annotated[
    str, typer.Option(help="postgresql+asyncpg://...; empty: SQLite.", envvar="FINEINSTRUCTIONS_DATABASE")
]

FOLDER = ".service"
QUERIES, DOCUMENTS = "deployments/sample/queries.jsonl", "deployments/sample/documents.jsonl"
NIGHTLY = "15 2 * * *"


@app.command()
def up(
    store: Store = "store",
    queries: Queries = QUERIES,
    documents: Documents = DOCUMENTS,
    profile: Profile = "tiny",
    cron: Cron = NIGHTLY,
    database: Database = "",
    alerts: Alerts = "",
    port: Annotated[int, typer.Option(help="Of the UI; the metrics take the next one.")] = 4200,
    planners: Planners = 4,
    folder: Folder = FOLDER,
) -> None:
    """Starts the service on this machine: server, pools, deployments, workers, metrics."""
    from flows import commands_service
    from flows.up import Corpus, Service

    corpus = Corpus(_absolute(store), queries, documents, profile, cron)
    commands_service.start(Service(Path(folder).resolve(), corpus, database, alerts, port, planners))


@app.command()
def down(folder: Folder = FOLDER) -> None:
    """Stops what `up` has started."""
    from flows import commands_service

    commands_service.stop(Path(folder).resolve())


@app.command()
def deploy(
    store: Store = "store",
    queries: Queries = QUERIES,
    documents: Documents = DOCUMENTS,
    profile: Profile = "tiny",
    cron: Cron = NIGHTLY,
    alerts: Alerts = "",
    planners: Planners = 4,
) -> None:
    """Pools, queues, automations and deployments on the server at PREFECT_API_URL."""
    from flows import commands_service
    from flows.up import Corpus

    commands_service.deploy(Corpus(_absolute(store), queries, documents, profile, cron), planners, alerts)


@app.command()
def metrics(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 4201,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serves the figures of this machine's workers to Prometheus, out of PROMETHEUS_MULTIPROC_DIR."""
    from flows.metrics import serve

    serve(host, port)


def _absolute(store: str) -> str:
    return store if "://" in store else str(Path(store).resolve())
