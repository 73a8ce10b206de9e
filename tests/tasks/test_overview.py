"""What an operator sees: totals, states, the latest failures, examples."""

import json

import pytest

from models.errors import ShardError, UsageError
from tasks.funnel import STEPS
from tasks.overview import examples, mining_funnel, overview
from tasks.release import publish
from tests.tasks import small_store
from tests.tasks.small_corpus import fail, finish, manifest, record, recorded
from tests.tasks.small_store import TEXTS, WRITTEN, Written


def test_the_funnel_adds_up_what_is_finished() -> None:
    """From the queries to the verdicts, in the order of the stages."""
    workspace, shards = recorded(3)
    for shard in shards[:2]:
        finish(workspace, shard, "match", rows=5)
    finish(workspace, shards[0], "instantiate", rows_in=5, rows=5)
    seen = overview(workspace.scope)
    totals = {stage.step: stage for stage in seen.funnel}
    assert list(totals) == list(STEPS[:-1])
    assert (totals["ingest documents"].shards, totals["ingest documents"].rows) == (3, 6)
    assert (totals["match"].shards, totals["match"].rows, totals["match"].seconds) == (2, 10, 8.0)
    assert (totals["instantiate"].shards, totals["judge"].shards) == (1, 0)
    assert totals["mine"].rows == totals["index"].rows == 1
    assert totals["ingest queries"].counts.rejected == {"empty_text": 1}


def test_the_latest_failure_of_every_bad_shard_is_told() -> None:
    """And all of it can be printed as JSON."""
    workspace, shards = recorded(2)
    fail(workspace, shards[0], "match", times=3)
    seen = overview(workspace.scope)
    assert [failure.message for failure in seen.failures] == ["attempt 3 on library-0"]
    printed = json.loads(json.dumps(seen.as_dict()))
    assert printed["shards"] == {
        "library-0": {"match": "quarantined", "instantiate": "waiting", "judge": "waiting"},
        "library-1": {"match": "pending", "instantiate": "waiting", "judge": "waiting"},
    }
    assert printed["failures"][0]["message"] == "attempt 3 on library-0"
    assert [totals["step"] for totals in printed["funnel"]] == list(STEPS[:-1])


def test_the_bank_is_looked_up_once_however_many_shards_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at an object store costs more than all keys of a shard."""
    workspace, shards = recorded(5)
    for shard in shards:
        finish(workspace, shard, "match", "instantiate", "judge")
    reads: list[str] = []
    read = workspace.store.read
    monkeypatch.setattr(workspace.store, "read", lambda name: reads.append(name) or read(name))
    overview(workspace.scope.with_bank(""))
    assert reads.count("bank/current.json") == 1
    assert len(reads) < 8


def test_without_bank_or_documents_the_command_to_run_is_named() -> None:
    """One line each."""
    scope = small_store.scope_of(small_store.memory())
    with pytest.raises(UsageError, match=r"no template bank .*run `fineinstructions mine` and `index` first"):
        overview(scope)
    small_store.publish_bank(small_store.open_workspace(scope))
    with pytest.raises(UsageError, match="run `fineinstructions ingest --documents URL` first"):
        overview(scope)


def test_the_mining_funnel_is_that_of_the_queries() -> None:
    """As they are now; a corpus none of whose queries is mined has a row of zeros."""
    workspace, _ = recorded(1)
    assert [(totals.step, totals.rows) for totals in mining_funnel(workspace.scope)] == [
        ("ingest queries", 1),
        ("select", 1),
        ("mine", 1),
    ]
    for name in workspace.store.find("queries"):
        if "/mine-" in name:
            workspace.store.delete(name)
    assert [totals.shards for totals in mining_funnel(workspace.scope)] == [1, 1, 0]


def test_examples_are_the_best_judged_of_different_documents_and_templates() -> None:
    """As far as there are enough of them; each with the document's own text."""
    other = Written("bees", "Tell me of honey.", ("Bees make honey out of nectar",), template="Tell me of <fi>it</fi>.")
    workspace, shards = small_store.found(small_store.memory(), TEXTS, [*WRITTEN, other])
    record(workspace, "documents", [manifest(workspace, shard) for shard in shards])
    made = publish(workspace, shards)
    pairs = examples(workspace.scope, made, 2)
    assert len({pair["document_id"] for pair, _ in pairs}) == len({pair["template_id"] for pair, _ in pairs}) == 2
    pairs = examples(workspace.scope, made, 3)
    assert len({pair["pair_id"] for pair, _ in pairs}) == 3
    assert {pair["judge_score"] for pair, _ in pairs} == {5}
    for pair, text in pairs:
        span = pair["excerpts"][0]
        excerpt = pair["answer"][span["answer_start"] : span["answer_end"]]
        assert excerpt == text[span["document_start"] : span["document_end"]]


def test_an_empty_release_has_no_examples() -> None:
    """Nothing came through; that is no error."""
    workspace, shards = small_store.found(small_store.memory(), TEXTS, [])
    assert examples(workspace.scope, publish(workspace, shards), 3) == []


def test_an_example_whose_document_is_gone_is_an_error_that_names_it() -> None:
    """The corpus has lost the file since."""
    workspace, shards = small_store.found(small_store.memory(), TEXTS[:1], WRITTEN[:1])
    record(workspace, "documents", [manifest(workspace, *shards)])
    made = publish(workspace, shards)
    record(workspace, "documents", [])
    with pytest.raises(ShardError, match=r"document cats \(row 0 of library-0.jsonl\) is gone"):
        examples(workspace.scope, made, 1)
