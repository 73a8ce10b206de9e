"""From a release back to the queries and documents it was made from."""

from tasks.release import publish
from tasks.trail import finished, follow_shards
from tests.tasks.small_store import LIBRARY, QUESTIONS, RIVERS, TEXTS, WRITTEN, found, ingest, memory


def test_the_record_tells_the_whole_way(store_url: str) -> None:
    """From the released shards back to the queries, with sources and licences."""
    workspace, shards = found(store_url, TEXTS, WRITTEN)
    made = publish(workspace, shards)
    steps = {totals.step: totals for totals in made.funnel}
    assert list(steps) == [
        "ingest queries",
        "select",
        "mine",
        "index",
        "ingest documents",
        "match",
        "instantiate",
        "judge",
        "release",
    ]
    assert steps["ingest queries"].counts.rejected == {"empty_text": 1}
    assert (steps["match"].shards, steps["match"].rows) == (2, 4)
    assert steps["release"].counts == made.counts
    assert [(item.kind, item.source, item.rows) for item in made.sources] == [
        ("documents", LIBRARY, 3),
        ("queries", QUESTIONS, 1),
    ]


def test_only_judged_shards_are_finished() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    assert finished(workspace, (ingest(workspace, 7, {"late": RIVERS}), *shards)) == shards
    assert finished(workspace, ()) == ()


def test_a_bank_from_elsewhere_has_no_steps_before_it() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    workspace.store.delete(f"bank/{workspace.bank.version}/receipt.json")
    made = publish(workspace, shards)
    assert next(totals.step for totals in made.funnel) == "ingest documents"
    assert {item.kind for item in made.sources} == {"documents"}


def test_receipts_of_other_settings_do_not_count(store_url: str) -> None:
    """The same store holds what a stricter matching made of the same shards; it is not mixed in."""
    workspace, shards = found(store_url, TEXTS, WRITTEN)
    other, same = found(store_url, TEXTS, WRITTEN[:1], "match.threshold=0.9")
    assert [judged.receipts["judge"].rows for judged in follow_shards(workspace, shards)] == [3, 1]
    assert [judged.receipts["judge"].rows for judged in follow_shards(other, same)] == [1, 0]
