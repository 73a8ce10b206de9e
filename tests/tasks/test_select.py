"""All queries cleaned together, shard by shard, the first of equals kept."""

import json
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.errors import UsageError
from models.refusals import Refusal
from tasks import select as module
from tasks.ingest import ingest, record_corpus, unread_files
from tasks.plan import query_shards
from tasks.records import Receipt, Scope
from tasks.select import select, select_rows, selections
from tasks.tables import QUERIES
from tasks.work import read_rejected, read_rows
from tasks.workspace import open_workspace

FIRST = [
    "What   is the capital of  France?",
    "short \u200b\u200b\u200b",
    "wie lange muss man eier kochen",
    "how do penguins sleep in the cold antarctic winter nights",
    "What are the biggest culture shocks that people face when they come to England?",
]
SECOND = [
    "what is the capital of france",
    "What are the biggest culture shocks that people face when they come to Brazil?",
    "how to bake bread without yeast",
]


def corpus(tmp_path: Path, *overrides: str, files: tuple[list[str], ...] = (FIRST, SECOND)) -> Scope:
    """A corpus of queries in an empty store in memory."""
    url = f"memory://select-{uuid.uuid4().hex}"
    plain = ("queries.near_duplicate_similarity=0.8", "queries.languages=[]")
    scope = Scope(store=url, overrides=(*plain, *overrides))
    for name, texts in zip("abc", files, strict=False):
        rows = (json.dumps({"id": f"{name}{number}", "text": text}) for number, text in enumerate(texts))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    for file in unread_files(scope, "queries", (str(tmp_path),)):
        ingest.fn(scope, "queries", file)
    record_corpus(scope, "queries", (str(tmp_path),))
    return scope


def outcome(scope: Scope, receipt: Receipt) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Id to query of what was selected; id to reason and detail of the rest."""
    workspace = open_workspace(scope)
    folder = workspace.select_job(query_shards(scope)).folder
    kept = pl.concat(read_rows(workspace.store, folder, receipt))
    refused = read_rejected(workspace.store, folder, receipt)
    assert kept.schema == QUERIES
    assert set(refused["kind"]) <= {"rejected"}
    assert refused["url"].null_count() == refused["row"].null_count() == 0
    return (
        dict(kept.select("query_id", "query").iter_rows()),
        {name: (reason, detail) for name, reason, detail in refused.select("id", "reason", "detail").iter_rows()},
    )


def test_every_query_is_cleaned_and_kept_or_refused_with_a_reason(tmp_path: Path) -> None:
    """Duplicates name the kept query, also across files."""
    bench = tmp_path / "bench" / "quiz.jsonl"
    bench.parent.mkdir()
    bench.write_text(json.dumps({"question": "Tell me: how do penguins sleep in the cold antarctic winter nights?"}))
    (tmp_path / "queries").mkdir()
    scope = corpus(tmp_path / "queries", f'queries.evaluation_files=["{bench}"]', 'queries.languages=["en"]')
    receipt = select.fn(scope, query_shards(scope))
    kept, refused = outcome(scope, receipt)
    assert kept == {"a0": "What is the capital of France?", "a4": FIRST[4], "b2": SECOND[2]}
    assert {name: reason for name, (reason, _) in refused.items()} == {
        "a1": "too_short",
        "a2": "language",
        "a3": "contaminated",
        "b0": "exact_duplicate",
        "b1": "near_duplicate",
    }
    assert (refused["b0"][1], refused["b1"][1]) == ("a0", "a4")
    assert f"{bench} row 0" in refused["a3"][1]
    assert receipt.models == {"moderator": "off"}
    assert (receipt.counts.rows_in, receipt.counts.rows_out) == (8, 3)


def test_selections_are_one_a_shard_in_order(tmp_path: Path) -> None:
    """With the digest that keys mining."""
    scope = corpus(tmp_path)
    shards = query_shards(scope)
    receipt = select.fn(scope, shards)
    found = selections(open_workspace(scope), shards, receipt)
    assert [(selection.shard, selection.number) for selection in found] == [
        (shard.name, number) for number, shard in enumerate(shards)
    ]
    assert [selection.digest for selection in found] == [part.digest for part in receipt.parts]


def test_a_killed_selection_goes_on_and_remembers_the_texts_of_finished_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the duplicates of the second part are found although the first was made by another process."""
    scope = corpus(tmp_path)
    calls = []
    sift = module.select_rows

    def dies_at_the_second(queries: pl.DataFrame, filters: Any) -> Any:
        calls.append(queries["query_id"][0])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return sift(queries, filters)

    monkeypatch.setattr(module, "select_rows", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        select.fn(scope, query_shards(scope))
    _, refused = outcome(scope, select.fn(scope, query_shards(scope)))
    assert calls == ["a0", "b0", "b0"]
    assert (refused["b0"], refused["b1"]) == (("exact_duplicate", "a0"), ("near_duplicate", "a4"))


def test_a_finished_selection_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without loading anything."""
    scope = corpus(tmp_path)
    first = select.fn(scope, query_shards(scope))
    monkeypatch.setattr(module, "row_filters", None)
    assert select.fn(scope, query_shards(scope)) == first


def test_the_key_follows_settings_and_the_content_of_evaluation_files(tmp_path: Path) -> None:
    """A changed benchmark selects anew; the address of an endpoint does not matter to anything else."""
    bench = tmp_path / "quiz.jsonl"
    keys = []
    for question in ("one", "two"):
        bench.write_text(json.dumps({"question": question}))
        scope = Scope(store="memory://keys", overrides=(f'queries.evaluation_files=["{bench}"]',))
        keys.append(open_workspace(scope).select_job(()).key)
    other = Scope(store="memory://keys", overrides=("queries.min_language_confidence=0.4",))
    keys += [open_workspace(Scope(store="memory://keys")).select_job(()).key, open_workspace(other).select_job(()).key]
    assert len(set(keys)) == 4


def test_what_cannot_work_is_said_before_any_query_is_looked_at(tmp_path: Path) -> None:
    """A benchmark that is not there, an unknown language."""
    missing = corpus(tmp_path, f'queries.evaluation_files=["{tmp_path}/none.jsonl"]')
    with pytest.raises(UsageError, match=r"none\.jsonl"):
        select.fn(missing, query_shards(missing))
    unknown = corpus(tmp_path, 'queries.languages=["xx"]')
    with pytest.raises(UsageError, match="'xx'"):
        select.fn(unknown, query_shards(unknown))


def test_a_filter_sees_only_what_the_ones_before_it_kept() -> None:
    """Moderation costs money."""
    seen = []

    def drop_first(ids: Any, texts: Any) -> list[Refusal | None]:
        seen.append(list(texts))
        return [Refusal("moderated", "") if number == 0 else None for number in range(len(texts))]

    rows = [("q1", "one", "s", "u", 0), ("q2", "two", "s", "u", 1), ("q3", "three", "s", "u", 2)]
    batch = select_rows(
        pl.DataFrame(rows, schema=QUERIES, orient="row"), [drop_first, drop_first, drop_first, drop_first]
    )
    assert seen == [["one", "two", "three"], ["two", "three"], ["three"], []]
    assert (len(batch.kept), len(batch.rejected)) == (0, 3)
