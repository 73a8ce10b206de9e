"""Many small shards through a service on each database: what it costs, and that nothing breaks or grows."""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from flows.processes import find
from tests.service.operating import FINAL, Operator, operating
from tests.service.piles import Pile
from tests.service.postgres import postgres

pytestmark = [pytest.mark.prefect, pytest.mark.service, pytest.mark.timeout(5400)]

SHARDS = int(os.environ.get("FINEINSTRUCTIONS_SHARDS", "40"))
"""`make test-service` takes 2,000."""

STAGES = 3
ENOUGH = 200
"""Shards that pay for the start of the runs that process them."""

SETTINGS = (
    "documents.shard_rows=1",
    "match.threshold=1.0",
    *((f"service.first_batch_shards={SHARDS // 2}",) if SHARDS < ENOUGH else ()),
)
"""A sentence a shard, to which nothing matches, so that the stages after match have their receipts and no question."""

MOST_MEMORY = 2 << 30
"""Bytes of the server, or of a worker with all its runs."""

MOST_OVERHEAD = 0.5
"""Seconds per shard and stage that are not the stage's own work."""

ERRORS = re.compile(r"OperationalError|InterfaceError|database is locked|deadlock|QueuePool|TimeoutError|503 Service")


@pytest.fixture(scope="module", params=[pytest.param("sqlite", marks=pytest.mark.slow_service), "postgresql"])
def operator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: str
) -> Iterator[Operator]:
    """A service on one of the databases."""
    with postgres() if request.param == "postgresql" else nullcontext("") as database:
        options = ("--database", database) if database else ()
        with operating(tmp_path_factory.mktemp(request.param), server, *options) as operator:
            yield operator


def memory(operator: Operator, name: str) -> int:
    """Resident bytes of a process of the service and of all that it has started."""
    found, total = find(operator.service, name), 0
    for process in [found, *found.children(recursive=True)] if found else []:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def watch(operator: Operator, pile: Pile) -> tuple[float, dict[str, int]]:
    """Ingest; returns the seconds that it took and the peaks of memory."""
    peaks = dict.fromkeys(("server", "worker-cpu", "worker-gpu-0"), 0)
    parameters = {**pile.parameters, "release": False}
    started, planner = time.monotonic(), operator.start("ingest-corpus/backfill", **parameters)
    while (run := operator.read_run(planner.id))["state_type"] not in FINAL:
        peaks |= {name: max(peak, memory(operator, name)) for name, peak in peaks.items()}
        time.sleep(2)
    assert run["state_type"] == "COMPLETED", operator.log(planner.id)
    return time.monotonic() - started, peaks


def worked(pile: Pile) -> float:
    """Seconds of the stages' own work, after a check that every shard has a receipt of every stage."""
    seconds = [receipt.seconds for receipt in pile.finished()]
    assert len(seconds) == SHARDS * STAGES
    return sum(seconds)


def test_many_small_shards_cost_little_and_break_nothing(
    operator: Operator, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    pile = Pile(operator, "many", overrides=SETTINGS)
    pile.folder.mkdir(parents=True)
    rows = ({"id": f"d{row}", "text": f"Sentence {row} is about {row * 7919 % 1009}."} for row in range(SHARDS))
    (pile.folder / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    seconds, peaks = watch(operator, pile)
    overhead = (seconds - worked(pile)) / (SHARDS * STAGES)
    shown = ", ".join(f"{name} {peak >> 20:,} MiB" for name, peak in peaks.items())
    with capsys.disabled():
        name = request.node.name
        sys.stdout.write(f"\n{name}: {SHARDS} shards, {seconds:.0f} s, {overhead:.3f} s per shard and stage; {shown}\n")
    assert overhead <= MOST_OVERHEAD or SHARDS < ENOUGH
    assert max(peaks.values()) <= MOST_MEMORY
    assert not ERRORS.findall((operator.service / "server.log").read_text("utf-8", "replace"))
    for log in Path(operator.service).glob("worker-*.log"):
        assert not ERRORS.findall(log.read_text("utf-8", "replace")), log
