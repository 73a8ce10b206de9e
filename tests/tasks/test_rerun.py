"""Shards asked for again: what is cleared, what is dropped, and what stays."""

import pytest

from models.errors import ShardError, UsageError
from tasks.plan import SHARD_STAGES, ShardStage, survey
from tasks.records import Failure, Shard
from tasks.rerun import note_failure, reset
from tasks.workspace import Workspace
from tests.tasks.small_corpus import fail, finish, recorded


def states(workspace: Workspace, shard: Shard) -> tuple[str, ...]:
    """The states of a shard in match, instantiate and judge."""
    board = survey(workspace, (shard,))
    return tuple(board.states[stage][shard.name] for stage in SHARD_STAGES)


def test_noted_failures_say_what_happened() -> None:
    """Stage, shard, kind of error and message; the third quarantines."""
    workspace, (shard,) = recorded(1)
    for state in ("failed", "failed", "quarantined"):
        note_failure(workspace.scope, "match", shard, ShardError("no bank in the river"))
        assert states(workspace, shard)[0] == state
    failure = workspace.store.read_record(f"{workspace.job('match', shard).folder}/failure-003.json", Failure)
    assert (failure.stage, failure.shard, failure.error) == ("match", "library-0", "ShardError")
    assert failure.message == "no bank in the river"


def test_a_store_without_credentials_takes_no_note_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its driver has errors of its own."""
    from botocore.exceptions import NoCredentialsError

    workspace, (shard,) = recorded(1)

    def refuse(*_: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(workspace.store, "write", refuse)
    note_failure(workspace.scope, "match", shard, ShardError("no bank in the river"))
    assert f"match of {shard.name}: the failed attempt is not counted" in caplog.text


def test_without_names_all_that_failed_are_pending_again() -> None:
    """Those in quarantine too; what is done or pending is not touched."""
    workspace, shards = recorded(4)
    done, failing, poison, fresh = shards
    finish(workspace, done, "match", "instantiate", "judge")
    finish(workspace, failing, "match")
    fail(workspace, failing, "instantiate")
    fail(workspace, poison, "match", times=3)
    assert reset(workspace.scope, None, (), force=False) == (failing.name, poison.name)
    assert states(workspace, done) == ("done", "done", "done")
    assert states(workspace, failing) == ("done", "pending", "waiting")
    assert states(workspace, poison) == states(workspace, fresh) == ("pending", "waiting", "waiting")
    assert reset(workspace.scope, None, (), force=False) == ()


def test_names_choose_the_shards() -> None:
    """The other one stays in quarantine."""
    workspace, shards = recorded(2)
    for shard in shards:
        fail(workspace, shard, "match", times=3)
    assert reset(workspace.scope, None, (shards[1].name,), force=False) == (shards[1].name,)
    assert [states(workspace, shard)[0] for shard in shards] == ["quarantined", "pending"]


def test_a_finished_shard_stays_finished_without_force() -> None:
    """Also one that failed at first: its history is kept and nothing is said to be pending."""
    workspace, (shard,) = recorded(1)
    fail(workspace, shard, "match", times=2)
    finish(workspace, shard, "match", "instantiate", "judge")
    before = workspace.store.find("")
    assert reset(workspace.scope, None, (shard.name,), force=False) == ()
    assert workspace.store.find("") == before


@pytest.mark.parametrize(
    ("stage", "left"),
    [
        (None, ("pending", "waiting", "waiting")),
        ("match", ("pending", "waiting", "waiting")),
        ("instantiate", ("done", "pending", "waiting")),
        ("judge", ("done", "done", "pending")),
    ],
)
def test_force_drops_the_stage_and_those_after_it(stage: ShardStage | None, left: tuple[str, ...]) -> None:
    """With all their files, and nothing of earlier stages or other shards."""
    workspace, (shard, other) = recorded(2)
    for each in (shard, other):
        finish(workspace, each, *SHARD_STAGES)
    assert reset(workspace.scope, stage, (shard.name,), force=True) == (shard.name,)
    assert states(workspace, shard) == left
    assert states(workspace, other) == ("done", "done", "done")
    kept = {name.split("/")[3].partition("-")[0] for name in workspace.store.find(f"shards/main/{shard.name}")}
    assert kept == {"ingest"} | {of for of, state in zip(SHARD_STAGES, left, strict=True) if state == "done"}


def test_force_drops_parts_of_a_stage_that_failed() -> None:
    """They may be what made it fail."""
    workspace, (shard,) = recorded(1)
    folder = workspace.job("match", shard).folder
    workspace.store.write(f"{folder}/part-00000-0.parquet", b"poison")
    fail(workspace, shard, "match", times=3)
    assert reset(workspace.scope, None, (shard.name,), force=True) == (shard.name,)
    assert workspace.store.find(folder) == []


def test_results_are_dropped_from_the_last_stage_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipt first in each: a kill in between leaves no result whose input or rows are gone."""
    workspace, (shard,) = recorded(1)
    finish(workspace, shard, *SHARD_STAGES)
    dropped: list[str] = []
    monkeypatch.setattr(workspace.store, "delete", dropped.append)
    reset(workspace.scope, None, (shard.name,), force=True)
    folders = [workspace.job(stage, shard).folder for stage in reversed(SHARD_STAGES)]
    assert dropped == [f"{folder}/{file}" for folder in folders for file in ("receipt.json", "part-00000-0.parquet")]


def test_unknown_shards_are_named() -> None:
    """Before anything is cleared."""
    workspace, (shard,) = recorded(1)
    fail(workspace, shard, "match", times=3)
    with pytest.raises(UsageError, match=r"has no shard nobody; `fineinstructions status` lists them"):
        reset(workspace.scope, None, (shard.name, "nobody"), force=False)
    assert states(workspace, shard)[0] == "quarantined"


def test_force_needs_names() -> None:
    """Nobody drops a whole corpus by accident."""
    workspace, (shard,) = recorded(1)
    finish(workspace, shard, "match")
    with pytest.raises(UsageError, match="--force drops finished results, so it needs the shards by name"):
        reset(workspace.scope, None, (), force=True)
    assert states(workspace, shard)[0] == "done"
