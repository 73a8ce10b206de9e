"""Input files into the store: rows read, checked, cut into shards, counted.

Each shard is published with its own receipt while the file is read, so that a killed process re-reads the file but
makes only the shards that are missing. The manifest of a file is written after its last shard; a file whose manifest is
there is not opened. Cutting depends on the file and the settings alone. A file that breaks off in the middle keeps its
rows and gets one rejected row; a file that cannot be reached raises, and nothing but finished shards is left.
Not covered: equal ids in different files; a file that changes while it is read.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from re import sub

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.digests import digest
from models.refusals import Refusal
from models.tokens import Tokenizer
from tasks.extract import Extractor, Item
from tasks.inputs import list_files, source_settings, stem
from tasks.plan import corpus_name
from tasks.readers import Reading, read_file, refuse
from tasks.records import Corpus, Counts, InputFile, Kind, Manifest, Scope, Shard
from tasks.refused import refused_frame
from tasks.retry import RETRY
from tasks.settings import ReadSettings, SourceSettings
from tasks.tables import DOCUMENTS, QUERIES
from tasks.work import Batch, read_rows, run
from tasks.workspace import VERSIONS, Workspace, open_workspace

logger = logging.getLogger(__name__)

ITEMS = pl.Schema(
    {
        "row": pl.Int64(),
        "id": pl.String(),
        "source": pl.String(),
        "text": pl.String(),
        "reason": pl.String(),  # null for a good row
        "detail": pl.String(),
    }
)
"""What a shard is made from."""

_TOKENIZED_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Intake:
    """One input file with everything that decides what becomes of it."""

    workspace: Workspace
    kind: Kind
    file: InputFile

    @property
    def settings(self) -> ReadSettings:
        """The profile's settings for this kind of rows."""
        return self.workspace.profile.queries if self.kind == "queries" else self.workspace.profile.documents

    @property
    def source(self) -> SourceSettings:
        """The settings for this file."""
        return source_settings(self.settings, self.file.url)

    @property
    def key(self) -> str:
        """Digest of what decides the rows of all shards: file, content, reading, tokenizer; not the licence."""
        reading = self.settings.model_dump(mode="json", include=set(ReadSettings.model_fields) - {"sources"})
        source = self.source.model_dump(mode="json", include={"name", "text", "id", "messages"})
        tokenizer = self.workspace.tokenizer if self.kind == "documents" else ""
        return digest(VERSIONS["ingest"], self.kind, self.file.url, self.file.identity, reading, source, tokenizer)

    @property
    def manifest_name(self) -> str:
        """Name of the manifest in the store; another licence makes another manifest of the same shards."""
        source = self.file.source.model_dump(mode="json")
        return f"{self.workspace.manifest_folder(self.kind)}/{digest(self.key, source)}.json"

    def shard_name(self, index: int) -> str:
        """Name of a shard: the file's name made harmless, its identity, its place."""
        slug = sub(r"[^a-z0-9]+", "-", stem(self.file.url).lower()).strip("-")[:40] or "file"
        return f"{slug}-{digest(self.file.url, self.file.identity, length=8)}-{index:05d}"

    def items(self) -> Iterator[Item]:
        """All items of the file; an id that was there before is refused."""
        extractor = Extractor(self.settings, self.source, self.file.source.name)
        rows = read_file(self.file.url, Reading(self.settings.text_unit, extractor.columns))
        return _refuse_duplicates(item for row in rows for item in extractor.items(row))


def cut(items: Iterable[Item], rows: int, characters: int) -> Iterator[list[Item]]:
    """Consecutive pieces that are closed at `rows` items or as soon as they have `characters` of text."""
    piece: list[Item] = []
    length = 0
    for item in items:
        piece.append(item)
        length += len(item.text)
        if len(piece) >= rows or length >= characters:
            yield piece
            piece, length = [], 0
    if piece:
        yield piece


def ingest_rows(items: pl.DataFrame, intake: Intake) -> Batch:
    """Items (`ITEMS`) to QUERIES or DOCUMENTS and the refused rows."""
    good = items.filter(pl.col("reason").is_null())
    bad = items.filter(pl.col("reason").is_not_null()).with_columns(url=pl.lit(intake.file.url))
    url = pl.lit(intake.file.url)
    if intake.kind == "queries":
        kept = good.select(query_id="id", query="text", source="source", url=url, row="row")
        return Batch(kept.match_to_schema(QUERIES), refused_frame(bad))
    kept = good.select(
        document_id="id",
        document_source="source",
        document_url=url,
        document_row="row",
        text="text",
        token_count=pl.Series(_count_tokens(good["text"].to_list(), intake.workspace.open_tokenizer()), dtype=pl.Int64),
    )
    return Batch(kept.match_to_schema(DOCUMENTS), refused_frame(bad))


def _count_tokens(texts: list[str], tokenizer: Tokenizer) -> list[int]:
    """Tokens per text; counted in pieces, for a tokenizer needs many times the memory of its input."""
    counts: list[int] = []
    start, length = 0, 0
    for end, text in enumerate(texts, 1):
        length += len(text)
        if length >= _TOKENIZED_CHARACTERS or end == len(texts):
            counts += tokenizer.count(texts[start:end])
            start, length = end, 0
    return counts


def _refuse_duplicates(items: Iterable[Item]) -> Iterator[Item]:
    # Eight bytes an id: the ids of a file of millions of rows fit in memory.
    first: dict[bytes, int] = {}
    for item in items:
        if item.refusal is None:
            seen = first.setdefault(blake2b(item.id.encode(), digest_size=8).digest(), item.row)
            if seen != item.row:
                refusal = refuse("duplicate_id", f"row {seen} has the id {item.id!r}")
                item = Item(item.row, item.id, item.source, "", refusal)
        yield item


def item_frame(items: list[Item]) -> pl.DataFrame:
    """Items as a table (`ITEMS`)."""
    refusals = [item.refusal or Refusal("", "") for item in items]
    return pl.DataFrame(
        {
            "row": [item.row for item in items],
            "id": [item.id for item in items],
            "source": [item.source for item in items],
            "text": [item.text for item in items],
            "reason": [refusal.reason or None for refusal in refusals],
            "detail": [refusal.detail or None for refusal in refusals],
        },
        schema=ITEMS,
    )


def _ingest_shard(intake: Intake, index: int, items: list[Item]) -> tuple[Shard, Counts]:
    name, key = intake.shard_name(index), digest(intake.key, index)
    job = intake.workspace.ingest_job(intake.kind, name, key)
    receipt = run(job, [item_frame(items)], partial(ingest_rows, intake=intake))
    tokens = 0
    if intake.kind == "documents":
        tokens = sum(
            int(rows["token_count"].sum()) for rows in read_rows(job.store, job.folder, receipt, ["token_count"])
        )
    shard = Shard(kind=intake.kind, name=name, key=key, file=intake.file, rows=receipt.rows, tokens=tokens)
    return shard, receipt.counts


@task(task_run_name="ingest-{file.source.name}", cache_policy=NO_CACHE, **RETRY)
def ingest(scope: Scope, kind: Kind, file: InputFile) -> Manifest:
    """Read an input file into the store; a file with a manifest is not opened.

    Args:
        scope: Store, corpus and profile.
        kind: What the rows are.
        file: One of `list_files`.

    Raises:
        OSError: when the file cannot be reached.
    """
    intake = Intake(open_workspace(scope), kind, file)
    store = intake.workspace.store
    if store.exists(intake.manifest_name):
        return store.read_record(intake.manifest_name, Manifest)
    shards: list[Shard] = []
    counts = Counts()
    for index, items in enumerate(cut(intake.items(), intake.settings.shard_rows, intake.settings.shard_characters)):
        shard, found = _ingest_shard(intake, index, items)
        shards.append(shard)
        counts += found
    if not counts.rows_out:
        logger.warning("%s: no row came through (%s)", file.url, counts.rejected or "the file is empty")
    manifest = Manifest(file=file, kind=kind, key=intake.key, shards=tuple(shards), counts=counts)
    store.write_record(intake.manifest_name, manifest)
    return manifest


def unread_files(scope: Scope, kind: Kind, urls: tuple[str, ...]) -> list[InputFile]:
    """The files that URLs mean now and that are new or have changed.

    Raises:
        UsageError: when a URL matches nothing usable.
    """
    return _manifest_names(open_workspace(scope), kind, urls)[1]


def record_corpus(scope: Scope, kind: Kind, urls: tuple[str, ...]) -> Corpus:
    """Record what the corpus consists of now: the files that URLs mean and that have been read."""
    workspace = open_workspace(scope)
    names, missing = _manifest_names(workspace, kind, urls)
    for file in missing:
        logger.warning("%s could not be read and is not part of corpus %s", file.url, scope.corpus)
    corpus = Corpus(kind=kind, urls=urls, manifests=tuple(names))
    workspace.store.write_record(corpus_name(workspace, kind), corpus)
    return corpus


def _manifest_names(workspace: Workspace, kind: Kind, urls: Iterable[str]) -> tuple[list[str], list[InputFile]]:
    profile = workspace.profile
    files = list_files(profile.queries if kind == "queries" else profile.documents, urls)
    present = set(workspace.store.find(workspace.manifest_folder(kind)))
    names = {Intake(workspace, kind, file).manifest_name: file for file in files}
    return [name for name in names if name in present], [file for name, file in names.items() if name not in present]
