"""The commands that do the work: the whole chain, its parts, and shards again."""

from typing import Annotated, Literal

import typer

from flows.options import Corpus, Documents, Json, Name, Profile, Queries, Set, Store, scope

app = typer.Typer()


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
