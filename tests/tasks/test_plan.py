"""States of shards, and what there is to do: read off one listing of the store."""

from collections.abc import Callable

import pytest

from models.errors import UsageError
from tasks.plan import (
    Board,
    ShardStage,
    State,
    corpus_name,
    document_shards,
    find_shards,
    input_rows,
    latest_failures,
    next_work,
    query_shards,
    receipts,
    stuck_shards,
    survey,
    template_rows,
    untouched,
)
from tasks.records import Receipt, Scope, Selection, Shard
from tasks.workspace import open_workspace
from tests.tasks import small_store
from tests.tasks.small_corpus import fail, finish, manifest, record, recorded


def states(board: Board, shard: Shard) -> tuple[State, ...]:
    """The three states of a shard."""
    return tuple(of[shard.name] for of in board.states.values())


def test_one_listing_tells_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Done, pending, failed, quarantined and waiting; a stage waits until the one before is done."""
    workspace, shards = recorded(6)
    fresh, matched, done, failing, poison, late = shards
    for shard in (matched, done, late):
        finish(workspace, shard, "match")
    finish(workspace, done, "instantiate", "judge")
    finish(workspace, late, "instantiate")
    fail(workspace, failing, "match")
    fail(workspace, poison, "match", times=3)
    fail(workspace, late, "judge", times=2)
    listings: list[str] = []
    find = workspace.store.find
    monkeypatch.setattr(workspace.store, "find", lambda prefix: listings.append(prefix) or find(prefix))
    board = survey(workspace, shards)
    assert listings == ["shards/main"]
    assert states(board, fresh) == ("pending", "waiting", "waiting")
    assert states(board, matched) == ("done", "pending", "waiting")
    assert states(board, done) == ("done", "done", "done")
    assert states(board, failing) == ("failed", "waiting", "waiting")
    assert states(board, poison) == ("quarantined", "waiting", "waiting")
    assert states(board, late) == ("done", "done", "failed")
    assert board.tally("match") == {"done": 3, "pending": 1, "failed": 1, "quarantined": 1}
    assert board.stuck == (failing, poison, late)


@pytest.mark.parametrize(
    ("failures", "state"), [(0, "pending"), (1, "failed"), (2, "failed"), (3, "quarantined"), (4, "quarantined")]
)
def test_the_third_failure_quarantines(failures: int, state: State) -> None:
    """And no earlier one; a success afterwards is a success."""
    workspace, (shard,) = recorded(1)
    fail(workspace, shard, "match", times=failures)
    assert states(survey(workspace, (shard,)), shard)[0] == state
    finish(workspace, shard, "match")
    assert states(survey(workspace, (shard,)), shard) == ("done", "pending", "waiting")


def test_failures_under_other_settings_do_not_count() -> None:
    """Another threshold is another key: the shard is pending again, and its old failures stay where they are."""
    workspace, (shard,) = recorded(1)
    fail(workspace, shard, "match", times=3)
    changed = workspace.scope.model_copy(update={"overrides": (*workspace.scope.overrides, "match.threshold=0.2")})
    assert states(survey(open_workspace(changed), (shard,)), shard)[0] == "pending"
    assert states(survey(workspace, (shard,)), shard)[0] == "quarantined"


def test_a_stage_whose_input_is_gone_waits() -> None:
    """A failed stage is not tried again before the one before it is done."""
    workspace, (shard,) = recorded(1)
    fail(workspace, shard, "instantiate")
    board = survey(workspace, (shard,))
    assert states(board, shard) == ("pending", "waiting", "waiting")
    assert board.failures["instantiate", shard.name]


def test_shards_come_in_the_order_of_files_and_rows() -> None:
    """That of the corpus, whatever order they are asked for in, and however their names sort."""
    workspace, (a, b, c, d) = recorded(4)
    record(workspace, "documents", [manifest(workspace, d, b), manifest(workspace, c), manifest(workspace, a)])
    assert document_shards(workspace.scope) == (d, b, c, a)
    assert find_shards(workspace.scope, (a.name, d.name)) == (d, a)
    assert [shard.name for shard in query_shards(workspace.scope)] == ["questions-0"]


def test_an_unknown_shard_is_named() -> None:
    """All of them, and the corpus."""
    workspace, _ = recorded(1)
    with pytest.raises(UsageError, match="corpus 'main' has no shard never, no-more; `fineinstructions status` lists"):
        find_shards(workspace.scope, ("library-0", "no-more", "never"))


@pytest.mark.parametrize(
    ("read", "command"), [(document_shards, "ingest --documents"), (query_shards, "mine --queries")]
)
def test_an_unread_corpus_says_which_command_reads_it(read: Callable[[Scope], tuple[Shard, ...]], command: str) -> None:
    """Documents and queries."""
    with pytest.raises(UsageError, match=rf"of a corpus 'main'; run `fineinstructions {command} URL` first"):
        read(small_store.scope_of(small_store.memory()))


def test_the_next_work_is_that_of_the_first_open_stage() -> None:
    """Done, waiting and quarantined shards are left out; failed ones are tried again."""
    workspace, (fresh, matched, failing, poison) = recorded(4)
    stages: tuple[ShardStage, ...] = ("match", "instantiate", "judge")
    finish(workspace, matched, "match")
    fail(workspace, failing, "match", times=2)
    fail(workspace, poison, "match", times=3)
    assert next_work(workspace.scope, stages) == ("match", (fresh, failing))
    assert next_work(workspace.scope, stages[1:]) == ("instantiate", (matched,))
    assert next_work(workspace.scope, stages[2:]) is None
    assert next_work(workspace.scope, stages, frozenset({matched.name})) == ("instantiate", (matched,))
    assert next_work(workspace.scope, stages, frozenset()) is None
    assert stuck_shards(workspace.scope) == (failing, poison)


def test_input_rows_are_what_the_stage_before_made() -> None:
    """Documents for match, matches for instantiate, pairs for judge, templates for index."""
    workspace, shards = recorded(2)
    finish(workspace, shards[0], "match", rows=7)
    finish(workspace, shards[1], "match", rows=5)
    finish(workspace, shards[0], "instantiate", rows_in=7, rows=3)
    assert input_rows(workspace.scope, "match", shards) == 4
    assert input_rows(workspace.scope, "instantiate", shards) == 12
    assert input_rows(workspace.scope, "judge", shards[:1]) == 3
    reading = query_shards(workspace.scope)
    selected = workspace.select_job(reading)
    (part,) = workspace.store.read_record(selected.receipt_name, Receipt).parts
    chosen = Selection(shard=reading[0].name, folder=selected.folder, number=0, digest=part.digest, rows=1)
    assert template_rows(workspace.scope, (chosen,)) == 1


def test_receipts_are_those_of_finished_shards() -> None:
    """By shard, also through a workspace that is not pinned to a bank."""
    workspace, shards = recorded(3)
    finish(workspace, shards[2], "match", rows=7)
    unpinned = open_workspace(workspace.scope.with_bank(""))
    board = survey(unpinned, shards)
    assert {name: receipt.rows for name, receipt in receipts(unpinned, board, "match").items()} == {"library-2": 7}
    assert receipts(unpinned, board, "judge") == {}


def test_only_the_last_failure_of_each_shard_and_stage_is_shown() -> None:
    """Not those of stages that came through in the end."""
    workspace, shards = recorded(3)
    fail(workspace, shards[1], "match", times=3)
    fail(workspace, shards[0], "match", times=2)
    fail(workspace, shards[2], "match")
    finish(workspace, shards[2], "match")
    fail(workspace, shards[2], "instantiate")
    found = latest_failures(workspace, survey(workspace, shards))
    assert [(failure.stage, failure.message) for failure in found] == [
        ("match", "attempt 2 on library-0"),
        ("match", "attempt 3 on library-1"),
        ("instantiate", "attempt 1 on library-2"),
    ]


def test_under_a_bank_to_be_built_every_shard_is_to_be_matched() -> None:
    """Whatever is done under another bank; earlier receipts are still known."""
    workspace, shards = recorded(2)
    finish(workspace, shards[0], "match", "instantiate", "judge")
    board = untouched(workspace, shards)
    assert {states(board, shard) for shard in shards} == {("pending", "waiting", "waiting")}
    assert [len(found) for found in board.past.values()] == [1, 1, 1]


def test_the_corpus_record_lies_beside_its_manifests() -> None:
    """`catalogue` and a user's eye look for it there."""
    workspace, _ = recorded(1)
    assert workspace.store.exists(corpus_name(workspace, "documents"))
    assert corpus_name(workspace, "documents") == f"{workspace.manifest_folder('documents')}.json"
