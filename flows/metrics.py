"""Figures of the workers for Prometheus: rows, tokens, failures and seconds by stage.

A flow run is a process of its own and short-lived. It leaves its figures in the folder that `PROMETHEUS_MULTIPROC_DIR`
names, where `fineinstructions metrics` sums up all processes of the machine and serves them. Without that variable
figures are counted and nobody sees them.
"""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from models.errors import UsageError
from tasks.plan import ShardStage
from tasks.records import Receipt

ROWS = Counter("fineinstructions_rows", "Input rows by what became of them.", ["corpus", "stage", "outcome"])
TOKENS = Counter("fineinstructions_tokens", "Tokens of engines.", ["corpus", "stage", "kind"])
FAILURES = Counter("fineinstructions_shard_failures", "Failed attempts on shards.", ["corpus", "stage", "error"])
SECONDS = Histogram(
    "fineinstructions_shard_seconds",
    "Seconds of work on a shard.",
    ["corpus", "stage"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 14400),
)


def count(corpus: str, receipt: Receipt) -> None:
    """Add a finished shard."""
    counts, stage = receipt.counts, receipt.stage
    for outcome, rows in (("kept", counts.rows_out), *counts.rejected.items(), *counts.failed.items()):
        ROWS.labels(corpus, stage, outcome).inc(rows)
    kinds: dict[Literal["prompt", "cached", "output"], int] = {
        "prompt": receipt.tokens.prompt,
        "cached": receipt.tokens.cached,
        "output": receipt.tokens.output,
    }
    for kind, tokens in kinds.items():
        TOKENS.labels(corpus, stage, kind).inc(tokens)
    SECONDS.labels(corpus, stage).observe(receipt.seconds)


def count_failure(corpus: str, stage: ShardStage, error: BaseException) -> None:
    """Add a failed attempt."""
    FAILURES.labels(corpus, stage, type(error).__name__).inc()


def serve(host: str, port: int) -> None:
    """Serve the figures of all processes until interrupted.

    Raises:
        UsageError: the environment names no folder.
    """
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise UsageError(
            "PROMETHEUS_MULTIPROC_DIR names no folder: expected the one in which this machine's workers leave their "
            "figures; `fineinstructions up` makes one and serves it"
        ) from error
    _, thread = start_http_server(port, host, registry)
    thread.join()
