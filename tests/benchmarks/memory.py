"""The most memory that reading a large file takes.

The file's rows are documents of some 20,000 characters, so that shards are as large as they get. The peak is that of
this whole process, interpreter, libraries and the tokenizer included, as Linux counts it (in KiB).
Not covered: `match` and later stages, which hold a shard each.
"""

import json
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.ingest import ingest, unread_files
from tasks.records import Scope
from tests.benchmarks.figures import Figure, Sizes, Target
from tests.benchmarks.samples import sample_texts

GIGABYTE = 10**9
ROWS_A_SHARD = "documents.shard_rows=1000"


def measure(sizes: Sizes) -> list[Figure]:
    """Peak resident memory of ingest on one jsonl file."""
    with TemporaryDirectory(prefix="fineinstructions-bench-memory-") as folder:
        file = Path(folder) / "documents.jsonl"
        rows = _write(file, int(sizes.gigabytes * GIGABYTE))
        before, started = _peak(), time.perf_counter()
        scope = Scope(store=f"{folder}/store", overrides=(ROWS_A_SHARD,))
        (found,) = unread_files(scope, "documents", (str(file),))
        manifest = ingest.fn(scope, "documents", found)
        seconds = time.perf_counter() - started
    if manifest.counts.rows_out != rows:
        raise ValueError(f"expected {rows} documents, found {manifest.counts}")
    return [
        Figure(
            f"peak memory of ingest, {sizes.gigabytes:g} GB jsonl",
            _peak(),
            "GiB",
            Target("at most", 1.5),
            f"{rows} rows in {len(manifest.shards)} shards, {sizes.gigabytes * 1000 / seconds:.1f} MB/s with token "
            f"counts; {before:.2f} GiB before the first row",
        )
    ]


def _write(file: Path, size: int) -> int:
    """Fill a file with documents of 5,000 to 35,000 characters, no two alike; returns their number."""
    pool = "\n\n".join(sample_texts())
    pool += pool[:35_000]
    rows = 0
    with file.open("w", encoding="utf-8") as lines:
        while lines.tell() < size:
            start = rows * 7919 % (len(pool) - 35_000)
            text = f"Record {rows}.\n\n{pool[start : start + 5000 + rows * 6151 % 30_000]}"
            lines.write(json.dumps({"id": f"d{rows}", "text": text}) + "\n")
            rows += 1
    return rows


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
