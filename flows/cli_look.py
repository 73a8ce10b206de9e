"""The commands that look and spend nothing: what would be done, what was done, whether all is well."""

from typing import Annotated

import typer

from flows.options import Corpus, Documents, Json, Profile, Queries, Set, Store, scope

app = typer.Typer()


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
def doctor(
    store: Store = "", profile: Profile = "tiny", corpus: Corpus = "main", settings: Set = [], json: Json = False
) -> None:
    """Checks packages, models, store, engine and Prefect, and says what to do for each failure."""
    from flows import commands

    commands.doctor(scope(store or "memory://doctor", corpus, profile, settings), json)
