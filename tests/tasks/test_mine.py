"""Queries to templates through a scripted engine."""

import json
from pathlib import Path

import polars as pl
import pytest

from models.engine import Completion, Request
from models.errors import ShardError, TransientError, UsageError
from models.genericizer import Genericizer
from models.settings import GenericizerSettings
from tasks import mine as module
from tasks.mine import mine, mine_rows, mined_selections, open_selections
from tasks.plan import query_shards
from tasks.select import select
from tasks.tables import QUERIES, REJECTED, TEMPLATES
from tasks.work import read_rows
from tasks.workspace import open_workspace
from tests.tasks.scripted_engine import ScriptedEngine, completion, failure
from tests.tasks.test_select import corpus

SETTINGS = GenericizerSettings(engine="script", re_asks=1)
DESCRIPTION = "A document that explains one place and its people in some detail for a general reader."


def queries(*texts: str) -> pl.DataFrame:
    """A table of queries."""
    rows = [(f"q{number}", text, "forum", "f.jsonl", number) for number, text in enumerate(texts)]
    return pl.DataFrame(rows, schema=QUERIES, orient="row")


def template_of(request: Request) -> Completion:
    """The last word of the query becomes a slot; `fail`, `leak` and `prose` do what they say."""
    query = request.messages[-1].content.strip().rpartition("\n")[2].removeprefix("Query: ")
    beginning, _, last = query.rpartition(" ")
    match last:
        case "fail":
            return failure(request, "unavailable")
        case "prose":
            return completion(request, "I do not like JSON")
        case "leak":
            slot = "a leak"
        case _:
            slot = "name of something"
    answer = {"template": f"{beginning} <fi>{slot}</fi>", "compatible_document_description": DESCRIPTION}
    return completion(request, json.dumps(answer))


def test_every_query_becomes_a_template_or_a_reason() -> None:
    """With its provenance, the raw completion and the attempts."""
    rows = queries(
        "where is Paris", "one two prose", "word", "what is a <fi>", "tell me about leak", "why does it fail"
    )
    settings = SETTINGS.model_copy(update={"prompt": "bare"})
    batch = mine_rows(rows, Genericizer(settings), ScriptedEngine(template_of), settings)
    assert batch.kept.schema == TEMPLATES
    expected = ("q0", "where is Paris", "forum", "f.jsonl", 0, "where is <fi>name of something</fi>", DESCRIPTION, 1)
    assert batch.kept.rows() == [expected]
    assert batch.rejected.schema == REJECTED
    found = {name: row for name, *row in batch.rejected.select("id", "row", "kind", "reason", "raw", "attempts").rows()}
    assert found["q1"] == [1, "rejected", "not_json", "I do not like JSON", 2]
    assert found["q2"] == [2, "rejected", "query_too_short", None, 0]
    assert found["q3"] == [3, "rejected", "query_has_markup", None, 0]
    assert found["q4"][:3] == [4, "rejected", "slot_leaks_entity"]
    assert found["q5"] == [5, "failed", "unavailable", None, 1]
    assert batch.counts(6).rows_out == 1
    assert batch.tokens.prompt == 50


def test_the_corpus_is_mined_selection_by_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts; what is mined is not open any more, and asking again asks nothing."""
    engine = ScriptedEngine(template_of)
    monkeypatch.setattr(module, "open_engine", lambda _: engine)
    scope = corpus(tmp_path, "part_requests=2", 'genericizer.prompt="bare"')
    with pytest.raises(UsageError, match="not selected"):
        open_selections(scope)
    select.fn(scope, query_shards(scope))
    todo = open_selections(scope)
    assert len(todo) == 2
    with pytest.raises(UsageError, match="has been mined with these settings"):
        mined_selections(scope)
    receipt = mine.fn(scope, todo[0])
    assert (open_selections(scope), mined_selections(scope)) == (todo[1:], todo[:1])
    assert [part.counts.rows_in for part in receipt.parts] == [2, 2]
    workspace = open_workspace(scope)
    templates = pl.concat(read_rows(workspace.store, workspace.mine_job(todo[0]).folder, receipt))
    assert templates["template"].to_list()[0] == "What is the capital of <fi>name of something</fi>"
    assert receipt.models == {"genericizer": workspace.identity("genericizer")}
    asked = len(engine.asked)
    assert mine.fn(scope, todo[0]) == receipt
    assert len(engine.asked) == asked


def test_a_part_given_up_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says whether trying again may help."""
    scope = corpus(tmp_path)
    select.fn(scope, query_shards(scope))
    (selection, _) = open_selections(scope)
    job = open_workspace(scope).mine_job(selection)
    monkeypatch.setattr(
        module, "open_engine", lambda _: ScriptedEngine(lambda request: failure(request, "unavailable"))
    )
    with pytest.raises(TransientError, match=r"4 of 4|2 of 4"):
        mine.fn(scope, selection)
    assert job.store.find(job.folder) == []


def test_a_grammar_that_never_works_is_a_bad_shard() -> None:
    """Trying again unchanged would give the same."""
    rows = queries(*(f"where is place {number}" for number in range(20)))
    engine = ScriptedEngine(lambda request: failure(request, "invalid_grammar"))
    with pytest.raises(ShardError, match="invalid_grammar"):
        mine_rows(rows, Genericizer(SETTINGS), engine, SETTINGS)
