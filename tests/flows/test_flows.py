"""Flows on a real Prefect server: bad shards fail alone, nothing is done twice, and what is asked for is done again."""

import signal
from typing import Any

import pytest

from flows import interruption
from flows.ingest import ingest_corpus
from flows.process import process_shards
from flows.rerun import rerun_shards
from flows.states import errors, settled
from models.errors import ShardError, UsageError
from tasks import progress
from tasks.plan import latest_failures, survey
from tasks.rerun import note_failure
from tests.flows.conftest import Library
from tests.notes import Notes
from tests.tasks.small_store import BEES

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

ALL = ("done", "done", "done")


def test_a_poison_shard_fails_alone_and_whoever_listens_hears_why(library: Library) -> None:
    """The others are done, the failure is recorded under its shard, and nothing is counted as done for it."""
    _, poison, _ = shards = library.read()
    library.poison(poison)
    notes = Notes()
    with progress.listening(notes):
        state = process_shards(library.workspace.scope, "match", tuple(s.name for s in shards), return_state=True)
    assert state.is_failed()
    assert not settled(state)
    (error,) = errors(state)
    assert isinstance(error, FileNotFoundError)
    assert [states[0] for states in library.states()] == ["done", "failed", "done"]
    (failure,) = latest_failures(library.workspace, survey(library.workspace, shards))
    assert (failure.stage, failure.shard, failure.error) == ("match", poison.name, "FileNotFoundError")
    told = [heard for heard in notes.heard if heard[0] == "fail"]
    assert told == [("fail", "match", poison.name, str(error))]
    assert [heard for heard in notes.heard if heard[0] == "advance"] == [("advance", "match", 1)] * 2


def test_the_third_failure_quarantines_until_rerun_names_the_shard(library: Library) -> None:
    """The next run leaves it out and does nothing; with the cause mended it goes all the way."""
    _, poison, _ = library.read()
    mend = library.poison(poison)
    for _ in range(2):
        note_failure(library.workspace.scope, "match", poison, ShardError("as before"))
    assert not settled(ingest_corpus(library.scope, library.documents, return_state=True))
    assert library.states() == [ALL, ("quarantined", "waiting", "waiting"), ALL]
    before = library.receipts()
    assert settled(ingest_corpus(library.scope, library.documents, return_state=True))
    assert library.receipts() == before
    mend()
    assert settled(ingest_corpus(library.scope, library.documents, return_state=True))
    assert library.receipts() == before
    assert settled(rerun_shards(library.scope, (poison.name,), return_state=True))
    assert library.states() == [ALL, ALL, ALL]
    assert len(library.receipts() - before) == 3


def test_a_second_run_does_nothing_and_a_changed_file_redoes_exactly_its_shard(library: Library) -> None:
    """A new key in every stage for the changed one; what was made of its old content stays but is not in the corpus."""
    old = library.read()
    assert settled(ingest_corpus(library.scope, library.documents, return_state=True))
    first = library.receipts()
    notes = Notes()
    with progress.listening(notes):
        assert settled(ingest_corpus(library.scope, library.documents, return_state=True))
    assert library.receipts() == first
    assert [heard[0] for heard in notes.heard] == ["begin", "end"]
    library.write("cats", f"Another text altogether. {BEES}")
    assert settled(ingest_corpus(library.scope, library.documents, return_state=True))
    new = sorted(name.split("/")[3].partition("-")[0] for name in library.receipts() - first)
    assert new == ["ingest", "instantiate", "judge", "match"]
    assert library.shards[0::2] == old[0::2]
    assert library.shards[1] != old[1]


def test_force_makes_a_finished_shard_again_from_the_stage_on(library: Library) -> None:
    """And without force nothing of it; a named shard that is merely pending is done too."""
    bees, *_ = library.read()
    assert settled(rerun_shards(library.scope, (bees.name,), return_state=True))
    assert library.states() == [ALL, ("pending", "waiting", "waiting"), ("pending", "waiting", "waiting")]
    store, job = library.workspace.store, library.workspace.judge_job(bees)
    before = store.read(job.receipt_name), store.read(library.workspace.match_job(bees).receipt_name)
    assert settled(rerun_shards(library.scope, (bees.name,), return_state=True))
    assert store.read(job.receipt_name) == before[0]
    assert settled(rerun_shards(library.scope, (bees.name,), ("judge",), force=True, return_state=True))
    assert store.read(job.receipt_name) != before[0]
    assert store.read(library.workspace.match_job(bees).receipt_name) == before[1]


def test_an_error_of_usage_is_not_held_against_the_shards(library: Library) -> None:
    """A key that is not set ends the run at the first shard; nothing comes near quarantine."""
    shards = library.read()
    names = tuple(shard.name for shard in shards)
    process_shards(library.workspace.scope, "match", names)
    keyless = library.scope.model_copy(
        update={"overrides": (*library.scope.overrides, "engines.smollm2.api_key_env=FINEINSTRUCTIONS_NO_SUCH_KEY")}
    )
    state = ingest_corpus(keyless, library.documents, return_state=True)
    with pytest.raises(UsageError, match="FINEINSTRUCTIONS_NO_SUCH_KEY"):
        settled(state)
    assert library.states() == [("done", "pending", "waiting")] * 3


def test_an_interruption_that_prefect_drops_ends_the_run_before_the_next_batch(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the code of the first batch has ended: that one counts as completed, and nothing follows it."""
    heard: list[int] = []

    def interrupt(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(interruption, "_heard", heard)
    monkeypatch.setattr(process_shards, "on_completion_hooks", [interrupt])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interruption.listen()
    try:
        with pytest.raises(KeyboardInterrupt):
            ingest_corpus(library.scope, library.documents)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert heard == [signal.SIGINT]
    assert library.states() == [("done", "pending", "waiting")] * 3
