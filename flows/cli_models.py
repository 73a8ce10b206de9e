"""The commands around models: the embedder's threshold, labels, and small models out of them."""

from typing import Annotated, Literal

import typer

from flows.options import Corpus, Json, Profile, Set, Store, scope

app = typer.Typer()


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
        Literal["genericizer", "instantiator", "judge", "embedder", "passages", "all"],
        typer.Argument(help="What to train; all: one adapter for the three, one for each embedder."),
    ],
    silver: Annotated[str, typer.Option(help="Folder: genericizer, instantiator, retrieved, judged, documents.jsonl.")],
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
