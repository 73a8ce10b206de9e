"""Corpora of a service, and what two of them have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal
from prefect.client.schemas.objects import FlowRun

from tasks.ingest import ingest, record_corpus, unread_files
from tasks.plan import SHARD_STAGES, document_shards
from tasks.records import Receipt, Scope, Shard
from tasks.workspace import Workspace, open_workspace
from tests.service.operating import SAMPLE, Operator


@dataclass(frozen=True)
class Pile:
    """A corpus of its own on the service: a folder of files, and what the store has of it."""

    operator: Operator
    name: str
    files: str = ""
    """The pile whose files it has; empty: files of its own."""
    overrides: tuple[str, ...] = ()
    """Single settings."""

    @property
    def folder(self) -> Path:
        """Where files arrive."""
        return self.operator.folder / "piles" / (self.files or self.name)

    @property
    def documents(self) -> list[str]:
        """The parameter `documents`."""
        return [str(self.folder / "*.jsonl")]

    @property
    def scope(self) -> dict[str, Any]:
        """The parameter `scope`."""
        store = str(self.operator.store)
        return {
            "store": store,
            "corpus": self.name,
            "profile": str(self.operator.profile),
            "overrides": list(self.overrides),
        }

    def write(self, file: str, first: int, last: int) -> None:
        """A file of documents of the sample."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = (SAMPLE / "documents.jsonl").read_text("utf-8").splitlines(keepends=True)
        (self.folder / f"{file}.jsonl").write_text("".join(lines[first:last]), "utf-8")

    def ingest(self, expected: str = "Completed") -> FlowRun:
        """A run of the scheduled ingestion."""
        return self.operator.run("ingest-corpus/scheduled", expected, **self.parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of an ingestion."""
        return {"scope": self.scope, "documents": self.documents, "release": True}

    def receipts(self) -> dict[Path, float]:
        """Receipts of document shards and when they were written."""
        folder = self.operator.store / "shards" / self.name
        return {path.relative_to(folder): path.stat().st_mtime for path in folder.rglob("receipt.json")}

    def finished(self) -> list[Receipt]:
        """Receipts of the stages after ingestion, the first one first."""
        paths = (path for path in (self.operator.store / "shards" / self.name).rglob("receipt.json"))
        found = [Receipt.model_validate_json(path.read_bytes()) for path in paths]
        return sorted((receipt for receipt in found if receipt.stage in SHARD_STAGES), key=lambda found: found.created)

    def release(self) -> Path:
        """Folder of the newest release."""
        records = (self.operator.store / "releases").glob(f"{self.name}-*/release.json")
        return max(records, key=lambda at: at.stat().st_mtime).parent


def read_in(pile: Pile) -> tuple[Workspace, tuple[Shard, ...]]:
    """The files read into the store by this process, so that a test can harm them before the planner comes."""
    scope = Scope(**pile.scope)
    for file in unread_files(scope, "documents", tuple(pile.documents)):
        ingest.fn(scope, "documents", file)
    record_corpus(scope, "documents", tuple(pile.documents))
    return open_workspace(scope).pinned(), document_shards(scope)


def harm(pile: Pile, shard: Shard) -> Callable[[], object]:
    """Take a shard's documents away; gives back what mends it."""
    job = open_workspace(Scope(**pile.scope)).ingest_job("documents", shard.name, shard.key)
    (part,) = (pile.operator.store / job.folder).glob("part-*.parquet")
    away = pile.operator.folder / f"{shard.name}.away"
    part.rename(away)
    return lambda: away.rename(part)


def assert_same(left: Pile, right: Pile) -> None:
    """Two piles of the same files have the same receipts and the same releases, no pair twice."""
    assert set(left.receipts()) == set(right.receipts())
    for files in ("data/*.parquet", "rejected.parquet"):
        one, other = (pl.read_parquet(pile.release() / files) for pile in (left, right))
        assert_frame_equal(one, other)
        assert len(one)
    pairs = pl.read_parquet(left.release() / "data" / "*.parquet")["pair_id"]
    assert pairs.is_unique().all()


def made(before: dict[Path, float], after: dict[Path, float]) -> dict[str, set[str]]:
    """Stage to input files whose shards got a receipt between two moments."""
    found: dict[str, set[str]] = {}
    for path in (path for path, when in after.items() if before.get(path) != when):
        shard, stage = path.parts[0], path.parts[1].rpartition("-")[0]
        found.setdefault(stage, set()).add(shard.rsplit("-", 2)[0])
    return found
