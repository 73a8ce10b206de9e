"""All finished tables of a store, and the rows in them by id: what `show` searches.

Only what a receipt, a bank record or a release record vouches for is seen. Results of earlier settings are there as
well as those of now, each under its key. Nothing is written.
Not covered: tables of other corpora, except banks and releases, which a store has in common.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal

import polars as pl
from pydantic import Field

from models.settings import Settings
from tasks.plan import corpus_name, read_shards
from tasks.records import STAGES, Bank, Kind, Receipt, Stage
from tasks.released import Release
from tasks.storage import Store
from tasks.workspace import Workspace

Outcome = Literal["kept", "rejected", "failed"]
NONE = pl.lit(False)
"""The predicate that no row fulfils."""


class Finding(Settings):
    """What a stage, under one key, made of the rows that were looked for."""

    stage: Stage
    shard: str = Field(description="Shard; version of the bank; name of the release.")
    key: str
    inputs: tuple[str, ...] = Field((), description="Keys of what it was made from.")
    models: dict[str, str] = Field(description="Role to name@revision.")
    prompt_digest: str = ""
    created: datetime
    outcome: Outcome
    total: int = Field(description="Rows found.")
    rows: tuple[dict[str, Any], ...] = Field(description="The first of them, all columns of their table.")


@dataclass(frozen=True)
class Folder:
    """The finished tables of a stage on a shard, of a version of the bank, or of a release."""

    store: Store
    stage: Stage
    name: str
    shard: str
    tables: tuple[str, ...]

    @property
    def kept(self) -> list[str]:
        """Names of the tables of the stage's own rows."""
        return [name for name in self.tables if not _is_rejected(name)]

    @property
    def rejected(self) -> list[str]:
        """Names of the tables of rejected and failed rows."""
        return [name for name in self.tables if _is_rejected(name)]

    def values(self, column: str, wanted: pl.Expr) -> set[str]:
        """The values of a column in the kept rows that fulfil a predicate."""
        return self._values(self.kept, column, wanted)

    def refused_ids(self, wanted: pl.Expr) -> set[str]:
        """The ids of the rejected and failed rows that fulfil a predicate."""
        return self._values(self.rejected, "id", wanted)

    def findings(self, kept: pl.Expr, rejected: pl.Expr, limit: int) -> Iterator[Finding]:
        """What became of the rows that fulfil a predicate on the kept and one on the rejected table."""
        if len(rows := self._select(self.kept, kept)):
            yield self._finding("kept", rows, limit)
        refused = self._select(self.rejected, rejected)
        for outcome in ("rejected", "failed"):
            if len(refused) and len(rows := refused.filter(kind=outcome)):
                yield self._finding(outcome, rows, limit)

    def _values(self, tables: list[str], column: str, wanted: pl.Expr) -> set[str]:
        return {value for frame in self._matching(tables, wanted, column) for value in frame[column]}

    def _select(self, tables: list[str], wanted: pl.Expr) -> pl.DataFrame:
        found = list(self._matching(tables, wanted))
        return pl.concat(found) if found else pl.DataFrame()

    def _matching(self, tables: list[str], wanted: pl.Expr, *columns: str) -> Iterator[pl.DataFrame]:
        for name in tables:
            rows = self.store.scan_frame(name).filter(wanted).select(columns or pl.all()).collect()
            if len(rows) and self._counts(name):
                yield rows

    def _counts(self, table: str) -> bool:
        """Whether the record vouches for a table; a second worker on a shard may have left others beside it."""
        if self.stage in ("release", "index"):
            return True
        parts = self._receipt.parts
        return PurePosixPath(table).name in {name for part in parts for name in (part.file, part.rejected_file)}

    @cached_property
    def _receipt(self) -> Receipt:
        return self.store.read_record(f"{self.name}/receipt.json", Receipt)

    def _finding(self, outcome: Outcome, rows: pl.DataFrame, limit: int) -> Finding:
        return Finding(
            stage=self.stage,
            shard=self.shard,
            outcome=outcome,
            total=len(rows),
            rows=tuple(rows.head(limit).to_dicts()),
            **self._facts,
        )

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """What the record that vouches for the tables says of how they were made."""
        match self.stage:
            case "release":
                release = self.store.read_record(f"{self.name}/release.json", Release)
                return {"key": release.key, "models": release.models, "created": release.created}
            case "index":
                bank = self.store.read_record(f"{self.name}/bank.json", Bank)
                models = {"embedder": bank.embedder, "genericizer": bank.genericizer}
                return {"key": bank.version, "models": models, "created": bank.created}
        return self._receipt.model_dump(include={"key", "inputs", "models", "prompt_digest", "created"})


class Catalogue:
    """The folders of a store; one listing per tree, made when it is first asked for.

    Shards that the corpus consists of now come first, those of files that changed or are gone after them.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @cached_property
    def documents(self) -> list[Folder]:
        """Of document shards: ingest, match, instantiate, judge."""
        return self._of_shards("documents")

    @cached_property
    def queries(self) -> list[Folder]:
        """Of query shards: ingest and mine; of all of them together: select."""
        return self._of_shards("queries")

    @cached_property
    def banks(self) -> list[Folder]:
        """Versions of the template bank."""
        return [Folder(self._workspace.store, "index", *found) for found in self._finished("bank", "bank.json")]

    @cached_property
    def releases(self) -> list[Folder]:
        """Published releases."""
        found = self._finished("releases", "release.json")
        return [Folder(self._workspace.store, "release", *folder) for folder in found]

    def _of_shards(self, kind: Kind) -> list[Folder]:
        workspace = self._workspace
        folders = []
        for name, _, tables in self._finished(workspace.corpus_folder(kind), "receipt.json"):
            *_, shard, folder = name.split("/")
            stage = folder.rpartition("-")[0]
            folders += [Folder(workspace.store, known, name, shard, tables) for known in STAGES if known == stage]
        present: set[str] = set()
        if workspace.store.exists(corpus_name(workspace, kind)):
            present = {shard.name for shard in read_shards(workspace, kind)}
        return sorted(folders, key=lambda folder: (folder.shard not in present, folder.name))

    def _finished(self, tree: str, record: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Folders of a tree that hold the record written last: path, name, and the tables below."""
        names = [PurePosixPath(name) for name in self._workspace.store.find(tree)]
        tables: dict[PurePosixPath, list[str]] = {name.parent: [] for name in names if name.name == record}
        for name in names:
            if name.suffix == ".parquet" and (folder := next(filter(tables.__contains__, name.parents), None)):
                tables[folder].append(str(name))
        return ((str(folder), folder.name, tuple(found)) for folder, found in sorted(tables.items()))


def _is_rejected(name: str) -> bool:
    return PurePosixPath(name).name.startswith("rejected")
