"""The commands that run the system as a service: `up`, `down`, `deploy`, `metrics`."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


def _absolute(store: str) -> str:
    return store if "://" in store else str(Path(store).resolve())


def _recall(context: typer.Context, folder: str) -> str:
    """Make what `up` was given the last time the defaults of this time."""
    from flows.kept import recall

    context.default_map = recall(Path(folder))
    return folder


Store = Annotated[
    str,
    typer.Option(
        envvar="FINEINSTRUCTIONS_STORE", callback=_absolute, help="URL of the store: folder, s3://, gs://, ..."
    ),
]
Queries = Annotated[str, typer.Option(help="fsspec glob of query files.", envvar="FINEINSTRUCTIONS_QUERIES")]
Documents = Annotated[
    str, typer.Option(help="fsspec glob of document files, the whole corpus.", envvar="FINEINSTRUCTIONS_DOCUMENTS")
]
Profile = Annotated[
    str, typer.Option(help="tiny, paper, server, teacher, or a TOML file.", envvar="FINEINSTRUCTIONS_PROFILE")
]
Cron = Annotated[str, typer.Option(help="When the corpus is looked at, UTC.", envvar="FINEINSTRUCTIONS_CRON")]
Alerts = Annotated[str, typer.Option(help="Notification block TYPE/NAME on the server; empty: no alerts.")]
Planners = Annotated[int, typer.Option(min=1, help="Planner runs at a time.")]
FOLDER_HELP = "Records, logs, database and figures of the service."
Folder = Annotated[str, typer.Option(help=FOLDER_HELP)]
RecallingFolder = Annotated[str, typer.Option(help=FOLDER_HELP, is_eager=True, callback=_recall)]
Database = Annotated[
    str, typer.Option(help="postgresql+asyncpg://...; empty: SQLite.", envvar="FINEINSTRUCTIONS_DATABASE")
]

FOLDER = ".service"
QUERIES, DOCUMENTS = "deployments/sample/queries.jsonl", "deployments/sample/documents.jsonl"
NIGHTLY = "15 2 * * *"


@app.command()
def up(
    context: typer.Context,
    store: Store = "store",
    queries: Queries = QUERIES,
    documents: Documents = DOCUMENTS,
    profile: Profile = "tiny",
    cron: Cron = NIGHTLY,
    database: Database = "",
    alerts: Alerts = "",
    port: Annotated[int, typer.Option(help="Of the UI; the metrics take the next one.")] = 4200,
    planners: Planners = 4,
    folder: RecallingFolder = FOLDER,
) -> None:
    """Starts the service on this machine: server, pools, deployments, workers, metrics.

    An option that is not given is as the last time.
    """
    from flows import commands_service
    from flows.kept import Given
    from flows.up import Corpus, Service

    corpus = Corpus(store, queries, documents, profile, cron)
    service = Service(Path(folder).resolve(), corpus, database, alerts, port, planners)
    recalled = _options(context, "DEFAULT_MAP")
    given = Given.model_validate(recalled | _options(context, "COMMANDLINE", "ENVIRONMENT"))
    commands_service.start(service, given, tuple(recalled))


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

    commands_service.deploy(Corpus(store, queries, documents, profile, cron), planners, alerts)


@app.command()
def metrics(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 4201,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serves the figures of this machine's workers to Prometheus, out of PROMETHEUS_MULTIPROC_DIR."""
    from flows.metrics import serve

    serve(host, port)


def _options(context: typer.Context, *sources: str) -> dict[str, Any]:
    """The options of `up` that came from there, by name."""
    found = {name: context.get_parameter_source(name) for name in context.params if name != "folder"}
    return {name: context.params[name] for name, source in found.items() if source and source.name in sources}
