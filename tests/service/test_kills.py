"""Kills -9 of what a service consists of: after a restart and a re-run the release is that of an undisturbed run."""

import random
import time
from collections.abc import Iterator

import pytest

from tests.conftest import answering
from tests.service.operating import Operator, kill, operating, wait_until
from tests.service.piles import Pile, assert_same

pytestmark = [pytest.mark.prefect, pytest.mark.service, pytest.mark.timeout(900)]

PATIENCE = 75.0
"""Seconds until a run without a heartbeat counts as dead in these tests; the least beat of Prefect is 30."""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A service of its own, whose models take their time."""
    folder = tmp_path_factory.mktemp("shaken")
    with answering(0.5) as engine, operating(folder, engine, PREFECT_FLOWS_HEARTBEAT_FREQUENCY="30") as operator:
        yield operator


@pytest.fixture(scope="module")
def calm(operator: Operator) -> tuple[Pile, float]:
    """Three shards that nobody disturbs, and the seconds that they take."""
    pile = Pile(operator, "calm")
    for number, file in enumerate(("a", "b", "c")):
        pile.write(file, 4 * number, 4 * number + 4)
    started = time.monotonic()
    pile.ingest()
    return pile, time.monotonic() - started


def running(operator: Operator, planner: object, stage: str, state: str = "RUNNING") -> bool:
    """Whether a batch of a stage is in a state."""
    batches = operator.batches(planner)
    return any(stage in batch["tags"] and batch["state_type"] == state for batch in batches)


def test_the_process_of_a_batch_is_killed_in_the_middle_of_a_shard(
    operator: Operator, calm: tuple[Pile, float]
) -> None:
    """At a random question of two stages. The batch is Crashed at once, the planner goes on and ends Failed."""
    die, shaken = random.Random(4), Pile(operator, "shaken-batch", "calm")
    for stage in ("instantiate", "judge"):
        planner = operator.start("ingest-corpus/scheduled", **shaken.parameters)
        wait_until(lambda stage=stage, planner=planner: running(operator, planner.id, stage))
        asked, question = operator.asked(), die.randrange(1, 20)
        wait_until(lambda asked=asked, question=question: operator.asked() >= asked + question)
        kill(operator.family("worker-gpu-0")[1:])
        assert operator.wait(planner.id)["state_type"] == "FAILED"
        assert "CRASHED" in {batch["state_type"] for batch in operator.batches(planner.id)}
    shaken.ingest()
    assert_same(shaken, calm[0])
    assert not operator.unfinished()


@pytest.mark.parametrize(
    "victim",
    [
        "server",
        pytest.param("worker-gpu-0", marks=pytest.mark.slow_service),
        pytest.param("worker-cpu", marks=pytest.mark.slow_service),
    ],
)
def test_a_worker_or_the_server_is_killed_at_a_random_moment(
    operator: Operator, calm: tuple[Pile, float], victim: str
) -> None:
    """Their runs live on and tell the new ones how they ended; `up` starts what is missing and nothing else."""
    moment = random.Random(victim).uniform(0.3, 0.9) * calm[1]
    shaken = Pile(operator, f"shaken-{victim}", "calm")
    planner = operator.start("ingest-corpus/scheduled", **shaken.parameters)
    time.sleep(moment)
    killed = operator.family(victim)
    kill(killed if victim == "server" else killed[:1])
    assert f"started: {victim}\n" in operator.up()
    operator.wait(planner.id)
    shaken.ingest()
    assert_same(shaken, calm[0])
    assert not operator.unfinished()


@pytest.mark.slow_service
@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_runs_of_a_dead_machine_are_crashed_and_the_next_run_does_their_shards(
    operator: Operator, calm: tuple[Pile, float], state: str
) -> None:
    """It died before or after a batch said its first word; the planner died with it and holds its place no longer."""
    operator.hasten(PATIENCE)
    shaken = Pile(operator, f"shaken-{state.lower()}", "calm")
    planner = operator.start("ingest-corpus/scheduled", **shaken.parameters)
    wait_until(lambda: running(operator, planner.id, "match", state))
    kill(operator.family("worker-gpu-0") + operator.family("worker-cpu"))
    assert len(operator.unfinished()) == 2
    assert operator.wait(planner.id)["state_type"] == "CRASHED"
    wait_until(lambda: not operator.unfinished())
    operator.up()
    shaken.ingest()
    assert_same(shaken, calm[0])
