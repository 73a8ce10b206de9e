"""What a run would do: known where it is known, expected where it is not, and never invented."""

import json
from pathlib import Path

import pytest

from models.errors import UsageError
from tasks.forecast import Estimate, estimate, forecast, rate
from tasks.plan import SHARD_STAGES, survey
from tasks.records import Counts, Receipt, Shard, Tokens
from tasks.workspace import Workspace, open_workspace
from tests.tasks import small_store
from tests.tasks.small_corpus import fail, finish, recorded


def estimates(workspace: Workspace, shards: tuple[Shard, ...]) -> dict[str, Estimate]:
    """Estimates by stage."""
    return {found.stage: found for found in estimate(workspace, survey(workspace, shards))}


def changed(workspace: Workspace, override: str) -> Workspace:
    """The same store under another setting."""
    scope = workspace.scope
    return open_workspace(scope.model_copy(update={"overrides": (*scope.overrides, override)}))


def test_without_receipts_nobody_knows_a_rate() -> None:
    """But rows are expected: six templates for each document, a pair for each of them."""
    workspace, shards = recorded(2)
    found = estimates(workspace, shards)
    assert [(stage.shards, stage.rows) for stage in found.values()] == [(2, 4), (2, 24), (2, 24)]
    assert {(stage.tokens, stage.seconds) for stage in found.values()} == {(None, None)}


def test_rows_are_known_where_a_stage_is_done_and_expected_elsewhere() -> None:
    """Three matches for each document so far: six more are expected of the other shard."""
    workspace, shards = recorded(2)
    finish(workspace, shards[0], "match", rows_in=2, rows=6, seconds=4.0, tokens=Tokens())
    found = estimates(workspace, shards)
    assert found["match"] == Estimate("match", shards=1, rows=2, tokens=0, seconds=4.0)
    assert (found["instantiate"].shards, found["instantiate"].rows) == (2, 12)
    finish(workspace, shards[0], "instantiate", rows_in=6, rows=3, seconds=12.0, tokens=Tokens(prompt=60, output=30))
    found = estimates(workspace, shards)
    assert found["instantiate"] == Estimate("instantiate", shards=1, rows=6, tokens=90, seconds=12.0)
    assert (found["judge"].shards, found["judge"].rows) == (2, 6)


def test_rates_come_from_receipts_of_another_key_before_there_are_own_ones() -> None:
    """A changed setting makes work pending, not its price unknown; the first finished shard tells better."""
    workspace, shards = recorded(2)
    finish(workspace, shards[0], *SHARD_STAGES, seconds=4.0)
    other = changed(workspace, "match.threshold=0.2")
    found = estimates(other, shards)
    assert [(stage.shards, stage.rows, stage.seconds) for stage in found.values()] == [(2, 4, 8.0)] * 3
    finish(other, shards[1], "match", seconds=40.0)
    assert estimates(other, shards)["match"] == Estimate("match", shards=1, rows=2, tokens=80, seconds=40.0)


def test_a_finished_corpus_has_nothing_to_do() -> None:
    """Zero, not unknown."""
    workspace, shards = recorded(2)
    for shard in shards:
        finish(workspace, shard, *SHARD_STAGES)
    assert [vars(stage) for stage in estimates(workspace, shards).values()] == [
        {"stage": stage, "shards": 0, "rows": 0, "tokens": 0, "seconds": 0.0} for stage in SHARD_STAGES
    ]


def test_quarantined_shards_are_left_out_with_all_their_stages() -> None:
    """As a run leaves them out; a shard that failed once is tried again."""
    workspace, shards = recorded(3)
    fail(workspace, shards[0], "match", times=3)
    fail(workspace, shards[1], "match", times=1)
    assert [stage.shards for stage in estimates(workspace, shards).values()] == [2, 2, 2]


def test_a_rate_without_input_rows_is_none() -> None:
    """Empty shards tell nothing about full ones."""
    empty = Receipt(stage="judge", shard="s", key="k", counts=Counts(), rows=0, seconds=0.1)
    assert rate([]) is None
    assert rate([empty]) is None
    assert rate([empty, empty.model_copy(update={"counts": Counts(rows_in=1, rows_out=1), "rows": 1})]) is not None


def test_files_that_are_new_are_named_and_their_rows_are_not_guessed(tmp_path: Path) -> None:
    """Nothing is read: neither the store nor the file is touched."""
    workspace, _ = recorded(1)
    file = tmp_path / "more.jsonl"
    file.write_text('{"text": "More of the same."}\n')
    before = workspace.store.find("")
    found = forecast(workspace.scope, (), (str(file),))
    assert [unread.url for unread in found.documents] == [str(file)]
    assert (len(found.shards), found.document_tokens) == (1, sum(shard.tokens for shard in found.shards))
    assert json.loads(json.dumps(found.as_dict()))["unread_documents"] == [str(file)]
    assert workspace.store.find("") == before


def test_new_queries_make_a_new_bank_under_which_everything_is_pending(tmp_path: Path) -> None:
    """The same for a bank of another embedder; the rates are those of the old one."""
    workspace, shards = recorded(2)
    for shard in shards:
        finish(workspace, shard, *SHARD_STAGES)
    file = tmp_path / "queries.jsonl"
    file.write_text('{"query": "What is new?"}\n')
    assert [stage.shards for stage in forecast(workspace.scope, (), ()).stages] == [0, 0, 0]
    assert [stage.shards for stage in forecast(workspace.scope, (str(file),), ()).stages] == [2, 2, 2]
    other = changed(workspace, "embedder.sigma=0.1").scope.with_bank("")
    stages = forecast(other, (), ()).stages
    assert [(stage.shards, stage.seconds) for stage in stages] == [(2, 8.0)] * 3


def test_documents_without_a_bank_are_all_to_be_matched() -> None:
    """A run builds the bank first."""
    workspace, _ = recorded(2)
    for name in workspace.store.find("bank"):
        workspace.store.delete(name)
    found = forecast(workspace.scope.with_bank(""), (), ())
    assert [stage.shards for stage in found.stages] == [2, 2, 2]


def test_an_empty_store_has_no_stages_to_tell_of(tmp_path: Path) -> None:
    """Only the files that would be read; a URL that matches nothing is refused."""
    scope = small_store.scope_of(small_store.memory())
    file = tmp_path / "d.txt"
    file.write_text("Something.")
    found = forecast(scope, (), (str(file),))
    assert (found.shards, found.stages, len(found.documents)) == ((), (), 1)
    with pytest.raises(UsageError, match="no file matches"):
        forecast(scope, (str(tmp_path / "none.jsonl"),), ())
