"""Templates about a few subjects, mined by hand through the real jobs; no model is asked."""

from collections.abc import Sequence

import polars as pl

from models.digests import digest
from tasks.records import InputFile, Scope, Selection, Shard, Source
from tasks.tables import DOCUMENTS, REJECTED, TEMPLATES
from tasks.work import Batch, Job, run
from tasks.workspace import Workspace, open_workspace

LIBRARY = Source(name="library")
SUBJECTS = {
    "bees": "A page about honey bees and how they make honey out of nectar.",
    "castles": "A guide to medieval castles, their walls, towers and moats.",
    "taxes": "An explanation of how to fill in a tax return and when it is due.",
    "jazz": "A history of jazz music with its musicians and records.",
    "tides": "A text on ocean tides and how the moon makes them.",
}


def scope_of(url: str, *overrides: str) -> Scope:
    """A scope of the tiny profile on a store."""
    return Scope(store=url, overrides=overrides)


def template_row(number: int, template: str, description: str, source: str = "web") -> tuple[object, ...]:
    """A row of `TEMPLATES`; the complexity is the number of slots."""
    return (f"q{number}", "a query", source, "q.jsonl", number, template, description, template.count("<fi>"))


def subject_rows(first: int = 0) -> list[tuple[object, ...]]:
    """A template for each subject."""
    return [
        template_row(first + n, f"what of {name} in <fi>a place</fi>?", text)
        for n, (name, text) in enumerate(SUBJECTS.items())
    ]


def frame(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """Rows of `TEMPLATES` as a frame."""
    return pl.DataFrame(rows, schema=TEMPLATES, orient="row")


def mined(workspace: Workspace, shard: str, rows: Sequence[tuple[object, ...]]) -> Selection:
    """A selection whose queries became these templates."""
    selection = Selection(
        shard=shard, folder="queries/main/all/select-0", number=0, digest=digest(shard), rows=len(rows)
    )
    _write(workspace.mine_job(selection), frame(rows))
    return selection


def ingested(workspace: Workspace, texts: dict[str, str]) -> Shard:
    """A shard of documents that has been read in."""
    file = InputFile(url="d.jsonl", identity="d1", source=LIBRARY)
    shard = Shard(kind="documents", name="d-0", key=digest(*texts), file=file, rows=len(texts))
    rows = [(name, "library", file.url, row, text, len(text.split())) for row, (name, text) in enumerate(texts.items())]
    job = workspace.ingest_job("documents", shard.name, shard.key)
    _write(job, pl.DataFrame(rows, schema=DOCUMENTS, orient="row"))
    return shard


def opened(url: str, *overrides: str) -> Workspace:
    """The workspace of `scope_of`."""
    return open_workspace(scope_of(url, *overrides))


def _write(job: Job, rows: pl.DataFrame) -> None:
    run(job, [rows], lambda _: Batch(rows, REJECTED.to_frame()))
