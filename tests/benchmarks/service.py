"""What a service costs beside its work, with real processes: server, workers, a run for every batch.

Overhead is measured on shards of one sentence to which nothing matches, at several sizes of a corpus; two thousand of
them, on both databases, are the work of `make test-service`. Two workers are compared with one on answers that somebody
else's machine makes and that take a second each, so that a worker waits nearly all the time.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from tests.benchmarks.figures import Figure, Sizes, Target
from tests.conftest import answering
from tests.service.operating import SAMPLE, Operator, operating, second_worker
from tests.service.piles import Pile

EMPTY = ("documents.shard_rows=1", "match.threshold=1.0")
"""Settings under which no shard has anything to answer."""

WAITING = (
    "documents.shard_rows=2",
    "engines.smollm2.max_in_flight=2",
    "match.threshold=-1.0",
    "service.first_batch_shards=5",
    "service.batch_seconds=30",
)
"""Settings under which five shards wait for half a minute."""

ANSWER_SECONDS = 1.0

WAITED_FOR = 20
"""Documents of the comparison, two equal batches."""


def measure(sizes: Sizes) -> list[Figure]:
    """Start of a batch, overhead per shard and stage, the way of a new file, and what a second worker brings."""
    with (
        TemporaryDirectory(prefix="fineinstructions-bench-service-", ignore_cleanup_errors=True) as folder,
        answering(ANSWER_SECONDS) as engine,
        operating(Path(folder), engine) as operator,
    ):
        return [*_overhead(operator, sizes), _arrival(operator), _two_workers(operator)]


def _overhead(operator: Operator, sizes: Sizes) -> list[Figure]:
    figures, starts = [], []
    for shards, target in ((1, None), (100, Target("at most", 0.5))):
        pile = Pile(operator, f"empty-{shards}", overrides=EMPTY)
        _write(pile, shards, lambda row: f"Sentence {row} is about {row * 7919 % 1009}.")
        started = time.monotonic()
        run = pile.ingest()
        seconds, finished = time.monotonic() - started, pile.finished()
        starts.append(_first_row(operator.batches(run.id)[0], finished[0].created, finished[0].seconds))
        working = sum(receipt.seconds for receipt in finished)
        detail = f"{len(finished)} receipts in {seconds:.0f} s, {working:.1f} s of it in the stages' own work; SQLite"
        name = f"orchestration, per shard and stage, at {shards}"
        figures.append(Figure(name, (seconds - working) / len(finished), "s", target, detail))
    detail = "from its creation to the first shard's start in match: queue, process, imports, bank"
    return [Figure("start of a batch run", median(starts), "s", None, detail), *figures]


def _first_row(batch: dict[str, Any], done: datetime, worked: float) -> float:
    created = datetime.fromisoformat(batch["created"])
    return (done - created).total_seconds() - worked


def _arrival(operator: Operator) -> Figure:
    """A corpus that stands, and then one more file of two documents."""
    pile = Pile(operator, "arriving")
    pile.write("old", 0, 4)
    pile.ingest()
    pile.write("new", 4, 6)
    started = time.monotonic()
    pile.ingest()
    seconds = time.monotonic() - started
    pairs = pl.read_parquet(pile.release() / "data" / "*.parquet")
    found = pairs.filter(pl.col("document_url").str.ends_with("new.jsonl"))
    if found.is_empty():
        raise ValueError(f"expected pairs of the new file in the release, found {len(pairs)} of other files")
    detail = f"schedule and polling apart, {len(found)} pairs of 2 documents, answers of {ANSWER_SECONDS:g} s"
    return Figure("a new file to its pairs in a release", seconds, "s", None, detail)


def _two_workers(operator: Operator) -> Figure:
    lines = (SAMPLE / "documents.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:WAITED_FOR]]
    seconds = {}
    for workers in (1, 2):
        pile = Pile(operator, f"waiting-{workers}", overrides=WAITING)
        _write(pile, len(texts), lambda row: texts[row])
        with second_worker(operator) if workers == 2 else nullcontext():
            run = pile.ingest()
        batches = [batch for batch in operator.batches(run.id) if "instantiate" in batch["tags"]]
        first, last = min(batch["start_time"] for batch in batches), max(batch["end_time"] for batch in batches)
        seconds[workers] = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    detail = f"instantiate, {len(batches)} batches: {seconds[1]:.0f} s and {seconds[2]:.0f} s"
    return Figure(
        "two workers over one, answers that wait", seconds[1] / seconds[2], "x", Target("at least", 1.9), detail
    )


def _write(pile: Pile, rows: int, text: Callable[[int], str]) -> None:
    pile.folder.mkdir(parents=True)
    written = (json.dumps({"id": f"d{row}", "text": text(row)}) + "\n" for row in range(rows))
    (pile.folder / "documents.jsonl").write_text("".join(written), "utf-8")
