"""What Prefect and the store cost: per shard and stage, and when all is done.

Shards of one short document each, in a corpus in which nothing matches: match embeds and searches, the two stages after
it have no row to ask about, so almost all that is left is the price of a task run and of its receipt. The first shards
go through the real flows on a warm temporary server; the others through the same tasks without Prefect, which leaves
the same files. Then all of it is run again, by the command in a process of its own and by the flow in this one.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from flows.index import build_index
from flows.ingest import ingest_corpus
from flows.process import TASKS
from flows.run import run as run_flow
from tasks.ingest import ingest, record_corpus, unread_files
from tasks.mine import open_selections
from tasks.plan import SHARD_STAGES, document_shards, query_shards
from tasks.records import Kind, Receipt, Scope
from tasks.select import select
from tasks.tables import REJECTED, TEMPLATES
from tasks.work import Batch, run
from tasks.workspace import open_workspace
from tests.benchmarks.figures import Figure, Sizes, Target
from tests.benchmarks.samples import ROOT, SAMPLE, texts_of_many_lengths

SETTINGS = ("documents.shard_rows=1", "match.threshold=1.0")
QUERIES = 20


def measure(sizes: Sizes) -> list[Figure]:
    """Overhead per shard and stage, and a run over finished shards."""
    with TemporaryDirectory(prefix="fineinstructions-bench-storage-") as folder:
        scope = Scope(store=f"{folder}/store", overrides=SETTINGS)
        queries = _publish_bank(scope, Path(folder))
        worked, rest = Path(folder) / "documents-worked.jsonl", Path(folder) / "documents-rest.jsonl"
        _write(worked, 0, sizes.worked)
        overhead = _overhead(scope, worked, sizes.worked)
        if sizes.shards > sizes.worked:
            _write(rest, sizes.worked, sizes.shards)
            _finish(scope, rest)
        return [overhead, *_second_run(scope, queries, Path(folder) / "documents-*.jsonl", sizes.shards)]


def _publish_bank(scope: Scope, folder: Path) -> Path:
    """Mine some queries without asking a model, and index what would have come out; returns the queries' file."""
    file = folder / "queries.jsonl"
    file.write_text("".join((SAMPLE / "queries.jsonl").open(encoding="utf-8").readlines()[:QUERIES]), "utf-8")
    _read_in(scope, "queries", file)
    select.fn(scope, query_shards(scope))
    workspace = open_workspace(scope)
    for selection in open_selections(scope):
        queries = workspace.store.read_frame(selection.file)
        mined = queries.with_columns(
            template=pl.col("query") + " <fi>a thing</fi>",
            compatible_document_description="A document on " + pl.col("query"),
            complexity=pl.lit(1, pl.Int64),
        )
        run(workspace.mine_job(selection), [mined.match_to_schema(TEMPLATES)], _keep)
    build_index(scope)
    return file


def _keep(rows: pl.DataFrame) -> Batch:
    return Batch(rows, REJECTED.to_frame())


def _write(file: Path, first: int, end: int) -> None:
    texts = texts_of_many_lengths(end)
    rows = ({"id": f"d{row}", "text": f"{row}. {texts[row][:300]}"} for row in range(first, end))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _read_in(scope: Scope, kind: Kind, *files: Path) -> None:
    urls = tuple(map(str, files))
    for file in unread_files(scope, kind, urls):
        ingest.fn(scope, kind, file)
    record_corpus(scope, kind, urls)


def _overhead(scope: Scope, documents: Path, shards: int) -> Figure:
    started = time.perf_counter()
    states = ingest_corpus(scope, (str(documents),))
    seconds = time.perf_counter() - started
    if not all(state.is_completed() for state in states):
        raise ValueError(f"expected every batch to come through, found {states}")
    working = _receipts_seconds(scope)
    stages = len(SHARD_STAGES)
    return Figure(
        "Prefect and storage, per shard and stage",
        (seconds - working) / (shards * stages),
        "s",
        Target("at most", 0.5),
        f"{shards} shards x {stages} stages in {seconds:.1f} s, {working:.1f} s of it in the stages' own work; "
        "reading the file, planning and flow runs count as overhead",
    )


def _receipts_seconds(scope: Scope) -> float:
    workspace = open_workspace(scope)
    names = []
    for shard in document_shards(scope):
        jobs = [workspace.ingest_job("documents", shard.name, shard.key)]
        jobs += [workspace.job(stage, shard) for stage in SHARD_STAGES]
        names += [job.receipt_name for job in jobs]
    return sum(receipt.seconds for receipt in workspace.store.read_records(names, Receipt))


def _finish(scope: Scope, documents: Path) -> None:
    """Bring every shard of a file through all stages, without Prefect."""
    _read_in(scope, "documents", documents)
    for shard in document_shards(scope):
        for stage in SHARD_STAGES:
            TASKS[stage].fn(scope, shard)


def _second_run(scope: Scope, queries: Path, documents: Path, shards: int) -> list[Figure]:
    inputs = ["--queries", str(queries), "--documents", str(documents), "--store", scope.store]
    settings = [part for setting in scope.overrides for part in ("--set", setting)]
    command = [sys.executable, "-m", "flows.cli", "run", "--json", *inputs, *settings]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    started = time.perf_counter()
    second = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    by_command = time.perf_counter() - started
    if "Nothing was pending." not in second.stderr:
        raise ValueError(f"expected that nothing was pending in the second run, found {second.stderr}")
    started = time.perf_counter()
    run_flow(scope, (str(queries),), (str(documents),))
    by_flow = time.perf_counter() - started
    name, target = f"a run over {shards} finished shards", Target("at most", 10)
    return [
        Figure(name, by_flow, "s", target, "the flow `run`, on a server that is already there"),
        Figure(f"{name}, as a command", by_command, "s", target, "the same with Python's and the server's start"),
    ]
