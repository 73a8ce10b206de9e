"""The receipts behind a release: found by following keys from the released shards and their bank back to the inputs.

Read-only. What cannot be followed is left out rather than guessed: a bank that was brought along from elsewhere has
no receipts of mining in this store, and its steps are then missing from the funnel.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from tasks.funnel import Step
from tasks.records import Kind, Manifest, Receipt, Shard, Source
from tasks.released import SourceRows
from tasks.storage import Store
from tasks.tables import DOCUMENTS, MATCHES, PAIRS, VERDICTS
from tasks.work import Job, read_rows
from tasks.workspace import Workspace

_TABLES: dict[Step, pl.Schema] = {
    "ingest documents": DOCUMENTS,
    "match": MATCHES,
    "instantiate": PAIRS,
    "judge": VERDICTS,
}


@dataclass(frozen=True)
class JudgedShard:
    """A shard that went all the way, with the jobs and receipts of every stage."""

    shard: Shard
    jobs: dict[Step, Job]
    receipts: dict[Step, Receipt]

    @property
    def models(self) -> dict[str, str]:
        """Role to name@revision, as the receipts have it."""
        return {role: model for receipt in self.receipts.values() for role, model in receipt.models.items()}

    def read(self, step: Step, columns: list[str] | None = None) -> pl.DataFrame:
        """The table a step made of this shard, all columns or some."""
        job = self.jobs[step]
        empty = _TABLES[step].to_frame()
        parts = read_rows(job.store, job.folder, self.receipts[step], columns)
        return pl.concat([empty.select(columns) if columns else empty, *parts])


@dataclass(frozen=True)
class Origin:
    """Where templates come from: receipts per step, and the sources of the queries."""

    receipts: dict[Step, list[Receipt]] = field(default_factory=dict)
    sources: tuple[SourceRows, ...] = ()


def finished(workspace: Workspace, shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    """The shards whose pairs have been judged, in the given order; one listing."""
    names = set(workspace.store.find(workspace.corpus_folder("documents"))) if shards else set()
    return tuple(shard for shard in shards if workspace.judge_job(shard).receipt_name in names)


def follow_shards(workspace: Workspace, shards: tuple[Shard, ...]) -> list[JudgedShard]:
    """The jobs and receipts of judged shards, in their order.

    Raises:
        FileNotFoundError: when a receipt is missing.
    """
    jobs: dict[Step, list[Job]] = {
        "ingest documents": [workspace.ingest_job("documents", shard.name, shard.key) for shard in shards],
        "match": [workspace.match_job(shard) for shard in shards],
        "instantiate": [workspace.instantiate_job(shard) for shard in shards],
        "judge": [workspace.judge_job(shard) for shard in shards],
    }
    receipts = {step: _read(workspace.store, (job.receipt_name for job in found)) for step, found in jobs.items()}
    return [
        JudgedShard(
            shard,
            {step: jobs[step][number] for step in jobs},
            {step: receipts[step][number] for step in jobs},
        )
        for number, shard in enumerate(shards)
    ]


def follow_bank(store: Store, version: str) -> Origin:
    """The receipts from a version of the bank back to the queries it was made from."""
    if not store.exists(name := f"bank/{version}/receipt.json"):
        return Origin()
    index = store.read_record(name, Receipt)
    names = [name for name in store.find("queries") if name.endswith("/receipt.json")]
    mined = _with_keys(store, names, "mine", index.inputs)
    selected = _selection_of(store, names, mined)
    read = _with_keys(store, names, "ingest", [key for receipt in selected for key in receipt.inputs])
    return Origin(
        {"ingest queries": read, "select": selected, "mine": mined, "index": [index]},
        _query_sources(store, {receipt.key for receipt in read}),
    )


def sources_of(kind: Kind, shards: Iterable[Shard]) -> tuple[SourceRows, ...]:
    """Rows per source, in order of first appearance."""
    rows: Counter[Source] = Counter()
    for shard in shards:
        rows[shard.file.source] += shard.rows
    return tuple(SourceRows(kind=kind, source=source, rows=count) for source, count in rows.items())


def _read(store: Store, names: Iterable[str]) -> list[Receipt]:
    return store.read_records(list(names), Receipt)


def _with_keys(store: Store, names: list[str], stage: str, keys: Iterable[str]) -> list[Receipt]:
    """The receipts of a stage with these keys; folders carry only the beginning of a key."""
    wanted = set(keys)
    beginnings = {f"{stage}-{key[:8]}" for key in wanted}
    found = _read(store, (name for name in names if name.split("/")[-2] in beginnings))
    return [receipt for receipt in found if receipt.key in wanted]


def _selection_of(store: Store, names: list[str], mined: list[Receipt]) -> list[Receipt]:
    """The one select receipt whose parts were mined: the newest of those that have the most of them."""
    digests = {key for receipt in mined for key in receipt.inputs}
    found = _read(store, (name for name in names if name.split("/")[-2].startswith("select-")))
    covering = [(len(digests & {part.digest for part in receipt.parts}), receipt) for receipt in found]
    covering = [(parts, receipt) for parts, receipt in covering if parts]
    return [max(covering, key=lambda item: (item[0], item[1].created))[1]] if covering else []


def _query_sources(store: Store, keys: set[str]) -> tuple[SourceRows, ...]:
    names = [name for name in store.find("corpora") if name.split("/")[2:3] == ["queries"] and name.endswith(".json")]
    manifests = store.read_records(names, Manifest)
    shards = {shard.key: shard for manifest in manifests for shard in manifest.shards if shard.key in keys}
    return sources_of("queries", shards.values())
