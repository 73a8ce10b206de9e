"""Incremental ingestion on a real service: exactly the shards that a change concerns go through the pool."""

import json

import polars as pl
import pytest

from tests.service.operating import Operator
from tests.service.piles import Pile, made

pytestmark = [pytest.mark.prefect, pytest.mark.service]

STAGES = ("ingest", "match", "instantiate", "judge")


def released(pile: Pile) -> tuple[int, set[str]]:
    """Documents of the newest release, and the names of the files that its pairs, taken or not, come from."""
    folder = pile.release()
    taken = pl.read_parquet(folder / "data" / "*.parquet")["document_url"]
    left_out = pl.read_parquet(folder / "rejected.parquet")["url"]
    documents = json.loads((folder / "release.json").read_text("utf-8"))["documents"]
    return documents, {url.rpartition("/")[2] for url in (*taken, *left_out)}


def test_files_come_change_go_and_get_another_name_between_two_runs(operator: Operator) -> None:
    """New content and a new name are new shards; what is gone is gone from the release; the rest is not touched."""
    news = Pile(operator, "news")
    for file, first in (("kept", 0), ("changed", 2), ("removed", 4), ("before", 6)):
        news.write(file, first, first + 2)
    first = news.ingest()
    batches = operator.batches(first.id)
    assert [batch["name"] for batch in batches] == ["match-news-1", "instantiate-news-1", "judge-news-1"]
    assert {batch["work_queue_name"] for batch in batches} == {"scheduled"}
    assert made({}, news.receipts()) == {stage: {"kept", "changed", "removed", "before"} for stage in STAGES}

    before = news.receipts()
    news.write("changed", 8, 10)
    news.write("added", 10, 12)
    (news.folder / "removed.jsonl").unlink()
    (news.folder / "before.jsonl").rename(news.folder / "after.jsonl")
    news.ingest()
    assert made(before, news.receipts()) == {stage: {"changed", "added", "after"} for stage in STAGES}
    assert released(news) == (8, {"kept.jsonl", "changed.jsonl", "added.jsonl", "after.jsonl"})

    before = news.receipts()
    quiet = news.ingest()
    assert quiet.state is not None
    assert quiet.state.message == "0 of 4 shards were pending"
    assert not operator.batches(quiet.id)
    assert news.receipts() == before
    assert "| judge |" in operator.artifact("summary-news")
    assert 'fineinstructions_rows_total{corpus="news",outcome="kept",stage="match"} 14.0' in operator.figures()
