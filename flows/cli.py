"""The command `fineinstructions`: one verb per stage, and what an operator needs around them.

Exit codes: 0 all went well, 1 some files or shards failed or are in quarantine, 2 bad usage or settings,
130 interrupted.
Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

import os
import signal
import sys
import warnings
from typing import Annotated, Literal

import typer

from flows import cli_service
from flows.options import Corpus, Documents, Json, Name, Profile, Queries, Set, Store, scope

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Real user queries and documents in, grounded instruction-answer pairs out.",
)


@app.command()
def run(
    queries: Queries,
    documents: Documents,
    store: Store,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    name: Name = "",
    settings: Set = [],
    json: Json = False,
) -> None:
    """The whole chain; the same command again continues where it stopped."""
    from flows import commands

    commands.run(scope(store, corpus, profile, settings), tuple(queries), tuple(documents), name, json)


@app.command()
def mine(
    queries: Queries,
    store: Store,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """Queries to templates."""
    from flows import commands

    commands.mine(scope(store, corpus, profile, settings), tuple(queries), json)


@app.command()
def index(
    store: Store, profile: Profile = "tiny", corpus: Corpus = "main", settings: Set = [], json: Json = False
) -> None:
    """Templates to a new version of the template bank."""
    from flows import commands

    commands.index(scope(store, corpus, profile, settings), json)


@app.command()
def ingest(
    documents: Documents,
    store: Store,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """New and changed documents to judged pairs."""
    from flows import commands

    commands.ingest(scope(store, corpus, profile, settings), tuple(documents), json)


@app.command()
def release(
    store: Store,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    name: Name = "",
    settings: Set = [],
    json: Json = False,
) -> None:
    """Judged pairs to a data set with card and report."""
    from flows import commands

    commands.release(scope(store, corpus, profile, settings), name, json)


@app.command()
def plan(
    store: Store,
    queries: Queries = [],
    documents: Documents = [],
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """What a run would do and cost, with the rates of earlier receipts; spends nothing."""
    from flows import commands

    commands.plan(scope(store, corpus, profile, settings), tuple(queries), tuple(documents), json)


@app.command()
def preview(
    store: Store,
    documents: Documents = [],
    number: Annotated[int, typer.Option("-n", min=1, max=100, help="Documents to take.")] = 3,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """A few documents through everything, with every prompt and raw completion; stores nothing."""
    from flows import commands

    commands.preview(scope(store, corpus, profile, settings), tuple(documents), number, json)


@app.command()
def status(
    store: Store, profile: Profile = "tiny", corpus: Corpus = "main", settings: Set = [], json: Json = False
) -> None:
    """Shards x stages: done, pending, failed, quarantined; counts and reasons."""
    from flows import commands

    commands.status(scope(store, corpus, profile, settings), json)


@app.command()
def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of a pair, a document, a template or a query.")],
    store: Store,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """The whole trail of one pair, document or template."""
    from flows import commands

    commands.show(scope(store, corpus, profile, settings), identifier, json)


@app.command()
def rerun(
    store: Store,
    shard: Annotated[list[str], typer.Option(help="Shard by name; may be repeated.")] = [],
    failed: Annotated[bool, typer.Option("--failed", help="All shards that failed or are in quarantine.")] = False,
    stage: Annotated[Literal["match", "instantiate", "judge"] | None, typer.Option(help="Where to start.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also make again what is finished.")] = False,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """Chosen shards again."""
    from flows import commands

    if failed == bool(shard):
        raise typer.BadParameter("give either --failed or --shard NAME")
    if force and failed:
        raise typer.BadParameter("--force drops finished results, so it needs the shards by name: --shard NAME")
    commands.rerun(scope(store, corpus, profile, settings), tuple(shard), stage, force, json)


@app.command()
def calibrate(
    labels: Annotated[str, typer.Option(help="jsonl of document, compatible_document_description, compatible.")] = "",
    store: Annotated[
        str, typer.Option(help="Without labels: a store whose instantiator decided, by null or not.")
    ] = "",
    precision: Annotated[float, typer.Option(min=0, max=1, help="Share of matches that shall be compatible.")] = 0.5,
    profile: Profile = "tiny",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """The match threshold of the profile's embedder at a target precision."""
    from flows import commands

    if bool(labels) == bool(store):
        raise typer.BadParameter("give either --labels FILE or --store URL")
    commands.calibrate(scope(store or "memory://calibrate", corpus, profile, settings), labels, precision, json)


@app.command()
def labels(
    store: Store,
    out: Annotated[str, typer.Option(help="Folder or URL that receives the files of labels.")],
    profile: Profile = "teacher",
    corpus: Corpus = "main",
    settings: Set = [],
    json: Json = False,
) -> None:
    """What a large model made of a corpus, as labels for small models."""
    from flows import commands

    commands.labels(scope(store, corpus, profile, settings), out, json)


@app.command()
def distill(
    target: Annotated[
        Literal["genericizer", "instantiator", "judge", "embedder", "all"],
        typer.Argument(help="What to train; all: one adapter for the three, one for the embedder."),
    ],
    silver: Annotated[str, typer.Option(help="Folder of labels (jsonl): genericizer, instantiator, retrieved.")],
    out: Annotated[str, typer.Option(help="Local folder for adapters, figures and model cards.")],
    base: Annotated[str, typer.Option(help="Base model; by default the profile's.")] = "",
    start: Annotated[str, typer.Option(help="Adapter that the helpers' training goes on from.")] = "",
    profile: Profile = "tiny",
    settings: Set = [],
    json: Json = False,
) -> None:
    """Labels of a large model to small models of your own."""
    from flows import commands
    from tasks.distill.plan import Distillation

    plan = Distillation(
        target=target, silver=silver, out=out, profile=profile, overrides=tuple(settings), base=base, start=start
    )
    commands.distill(plan, json)


@app.command()
def doctor(
    store: Store = "", profile: Profile = "tiny", corpus: Corpus = "main", settings: Set = [], json: Json = False
) -> None:
    """Checks packages, models, store, engine and Prefect, and says what to do for each failure."""
    from flows import commands

    commands.doctor(scope(store or "memory://doctor", corpus, profile, settings), json)


app.add_typer(cli_service.app)

QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
}
"""Environment for a terminal that shows our own progress and nobody else's; what the user has set stays."""


def main() -> None:
    """Entry point: a quiet terminal, and errors as one clear line."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    warnings.filterwarnings("ignore", category=UserWarning, module="peft")
    # Told to end, by a scheduler say, a command ends as after Ctrl-C, and its temporary server with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from models.errors import FineInstructionsError, UsageError

    try:
        app()
    except UsageError as error:
        sys.stderr.write(f"fineinstructions: {error}\n")
        sys.exit(2)
    except FineInstructionsError as error:
        sys.stderr.write(f"fineinstructions: {error}\n")
        sys.exit(1)
    except SystemExit as end:
        # Typer keeps the interruption to itself and ends with this code.
        if end.code == INTERRUPTED:
            sys.stderr.write("\nfineinstructions: interrupted; the same command continues where it stopped\n")
        raise


if __name__ == "__main__":
    main()
