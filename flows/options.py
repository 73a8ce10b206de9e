"""Options that several commands have in common, and the scope that they name."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.records import Scope

Store = Annotated[
    str, typer.Option(envvar="FINEINSTRUCTIONS_STORE", help="URL of the store: folder, s3://, gs://, ...")
]
Corpus = Annotated[str, typer.Option(help="Name of the pile of documents and queries inside the store.")]
Profile = Annotated[str, typer.Option(help="tiny, paper, server, teacher, or a TOML file.")]
Set = Annotated[list[str], typer.Option("--set", help="One setting, as match.threshold=0.4; may be repeated.")]
Queries = Annotated[list[str], typer.Option(help="Files of queries: path, folder or fsspec glob; may be repeated.")]
Documents = Annotated[list[str], typer.Option(help="Files of documents: path, folder or fsspec glob; may be repeated.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Name = Annotated[str, typer.Option(help="Name of the release; by default one from its content.")]


def scope(store: str, corpus: str, profile: str, settings: list[str]) -> "Scope":
    """What the options mean.

    Raises:
        UsageError: the name of the corpus is none.
    """
    from pydantic import ValidationError

    from models.errors import UsageError
    from tasks.records import Scope

    try:
        return Scope(store=store, corpus=corpus, profile=profile, overrides=tuple(settings))
    except ValidationError as error:
        raise UsageError(f"corpus {corpus!r}: expected small letters, digits, - and _, at most 64") from error
