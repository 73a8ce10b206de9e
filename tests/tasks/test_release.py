"""Releases: nothing is lost, nothing changes afterwards, and what is left out has its reason."""

import polars as pl
import pytest

from models.errors import UsageError
from tasks.draft import Draft
from tasks.publish import write_data
from tasks.release import publish, read_release, release
from tasks.released import Release, ReleaseFile
from tasks.storage import Store
from tasks.tables import RELEASE
from tasks.workspace import Workspace
from tests.tasks.small_store import (
    BEES,
    CATS,
    RIVERS,
    TEXTS,
    WRITTEN,
    Written,
    found,
    ingest,
    judge,
    memory,
    read,
    rejected,
    scope_of,
)


def test_a_release_is_whole(store_url: str) -> None:
    """On every kind of store: data, rejected rows, card, report and, last, the record."""
    workspace, shards = found(store_url, TEXTS, WRITTEN)
    made = publish(workspace, shards)
    assert made.counts.rows_in == 4
    assert made.counts.rejected == {"score_3": 1}
    assert read(workspace, made)["document_id"].to_list() == ["cats", "bees", "rivers"]
    assert rejected(workspace, made).select("id", "url", "reason", "detail").rows() == [
        (rejected(workspace, made)["id"][0], "library-0.jsonl", "score_3", "Thin.")
    ]
    assert read_release(workspace.store, made.name) == made
    names = {name.removeprefix(f"{made.folder}/") for name in workspace.store.find(made.folder)}
    assert names == {
        "data/train-00000-of-00001.parquet",
        "rejected.parquet",
        "README.md",
        "report.html",
        "release.json",
    }


def test_columns_are_exactly_those_of_the_schema() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    frame = read(workspace, publish(workspace, shards))
    assert frame.schema == RELEASE
    assert list(frame.schema) == list(RELEASE)
    row = frame.row(0, named=True)
    assert row["text"] == f"Instruction: {row['instruction']}\n\nAnswer: {row['answer']}"
    assert set(row["models"].values()) == {
        workspace.identity(role) for role in ("genericizer", "embedder", "instantiator", "passages", "judge")
    }
    assert row["slots"] == ["cats"]


def test_duplicates_name_the_pair_that_stays() -> None:
    twin = Written("rivers", "what about CATS", ("A river begins at its source",), template="what about <fi>x</fi>")
    same = [
        Written("cats", "What about cats?", ("Cats are small hunters that sleep for most of the day.",)),
        Written("copy", "What about cats?", ("Cats are small hunters that sleep for most of the day.",)),
        Written("copy", "What about a cat?", ("Cats are small hunters that sleep for most of the day.",)),
        twin,
    ]
    workspace, shards = found(memory(), [{"cats": CATS, "copy": CATS}, {"rivers": RIVERS}], same)
    made = publish(workspace, shards)
    frame = read(workspace, made)
    assert frame["document_id"].to_list() == ["cats", "rivers"]
    assert made.counts.rejected == {"exact_duplicate": 1, "near_duplicate": 1}
    assert set(rejected(workspace, made)["detail"]) == {frame["pair_id"][0]}


def test_pairs_of_earlier_releases_are_left_out_with_their_id() -> None:
    url = memory()
    workspace, shards = found(url, TEXTS[:1], WRITTEN)
    first = publish(workspace, shards, "first")
    later, both = found(url, TEXTS, WRITTEN, "release.against=['first']")
    second = publish(later, both, "second")
    assert read(later, second)["document_id"].to_list() == ["rivers"]
    assert second.counts.rejected == {"score_3": 1, "in_earlier_release": 2}
    left_out = rejected(later, second).filter(pl.col("reason") == "in_earlier_release")
    assert left_out["detail"].to_list() == [f"first/{pair_id}" for pair_id in read(workspace, first)["pair_id"]]


def test_an_earlier_release_that_is_not_there_is_bad_usage() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN, "release.against=['nowhere']")
    with pytest.raises(UsageError, match="'nowhere'"):
        publish(workspace, shards)


def test_pairs_over_the_budget_are_left_out() -> None:
    """Two halves of a document, with their questions around them, cost more than the document."""
    halves = [
        Written("both", "What about cats?", (CATS.strip(),)),
        Written("both", "What about bees?", (BEES.strip(),)),
    ]
    workspace, shards = found(memory(), [{"both": CATS + BEES}], halves)
    made = publish(workspace, shards)
    assert made.counts.rejected == {"over_budget": 1}
    assert 0 < made.tokens <= made.document_tokens


def test_a_release_is_found_and_not_made_again() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    first = publish(workspace, shards)
    before = {name: workspace.store.fs.modified(f"{workspace.store.root}/{name}") for name in everything(workspace)}
    assert publish(workspace, shards) == first
    assert publish(workspace, shards, first.name) == first
    after = {name: workspace.store.fs.modified(f"{workspace.store.root}/{name}") for name in everything(workspace)}
    assert before == after


def everything(workspace: Workspace) -> list[str]:
    return workspace.store.find("releases")


def test_a_name_is_never_used_for_something_else() -> None:
    url = memory()
    workspace, shards = found(url, TEXTS, WRITTEN)
    publish(workspace, shards, "v1")
    stricter, same = found(url, TEXTS, WRITTEN, "release.min_score=5")
    with pytest.raises(UsageError, match="releases never change"):
        publish(stricter, same, "v1")
    assert publish(stricter, same).name != publish(workspace, shards).name


@pytest.mark.parametrize("name", ["../x", "a/b", "A", ".x", "x" * 97])
def test_names_that_are_no_folder_names_are_bad_usage(name: str) -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    with pytest.raises(UsageError, match="cannot be called"):
        publish(workspace, shards, name)


def test_remains_of_a_killed_attempt_are_cleared() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    workspace.store.write("releases/v1/data/train-00007-of-00009.parquet", b"half")
    made = publish(workspace, shards, "v1")
    assert [name for name in everything(workspace) if "train" in name] == [f"releases/v1/{made.files[0].name}"]


def test_data_files_have_the_wanted_size_and_keep_the_order() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN, "release.shard_rows=2")
    made = publish(workspace, shards)
    assert [(file.name, file.rows) for file in made.files] == [
        ("data/train-00000-of-00002.parquet", 2),
        ("data/train-00001-of-00002.parquet", 1),
    ]
    assert read(workspace, made)["document_id"].to_list() == ["cats", "bees", "rivers"]


def test_unjudged_shards_are_named_and_come_with_the_next_release() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    waiting = ingest(workspace, 7, {"late": RIVERS})
    made = publish(workspace, (*shards, waiting))
    assert made.missing == ("library-7",)
    assert made.documents == 3
    page = workspace.store.read(f"{made.folder}/README.md").decode()
    assert "library-7" in page
    judge(workspace, waiting, {"late": RIVERS}, [])
    later = publish(workspace, (*shards, waiting))
    assert (later.missing, later.documents) == ((), 4)
    assert later.name != made.name


def test_nothing_judged_is_bad_usage() -> None:
    workspace, _ = found(memory(), [], [])
    waiting = ingest(workspace, 7, {"late": RIVERS})
    with pytest.raises(UsageError, match="none of the 1 shards"):
        publish(workspace, (waiting,))


def test_nothing_matched_makes_an_empty_release_that_says_why() -> None:
    workspace, shards = found(memory(), TEXTS, [])
    made = publish(workspace, shards)
    frame = read(workspace, made)
    assert (len(frame), frame.schema, made.rows) == (0, RELEASE, 0)
    for page in ("README.md", "report.html"):
        text = workspace.store.read(f"{made.folder}/{page}").decode()
        assert "This release is empty" in text
        assert "None of 3 documents came through the stage match: no" in text


def test_settings_in_the_record_hold_no_addresses() -> None:
    scope = scope_of(memory())
    workspace, shards = found(scope.store, TEXTS, WRITTEN, "queries.moderation.url='http://10.0.0.1/secret'")
    made = publish(workspace, shards)
    assert "10.0.0.1" not in made.model_dump_json()


def test_the_same_pairs_make_the_same_bytes() -> None:
    """What a store's other content is, and how often it was tried, does not show in the data."""
    digests = []
    for _ in range(2):
        workspace, shards = found(memory(), TEXTS, WRITTEN)
        digests.append([file.digest for file in publish(workspace, shards).files])
    assert digests[0] == digests[1]


def test_two_that_publish_the_same_agree_on_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one found no release when it began; nothing of the first one's goes away."""
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    made: list[Release] = []

    def write_while_another_publishes(store: Store, folder: str, draft: Draft, rows: int) -> tuple[ReleaseFile, ...]:
        monkeypatch.undo()
        made.append(publish(workspace, shards, "v1"))
        return write_data(store, folder, draft, rows)

    monkeypatch.setattr("tasks.release.write_data", write_while_another_publishes)
    assert publish(workspace, shards, "v1") == made[0] == read_release(workspace.store, "v1")
    assert len(read(workspace, made[0])) == made[0].rows


def test_the_task_publishes_what_publish_does() -> None:
    scope = scope_of(memory())
    workspace, shards = found(scope.store, TEXTS, WRITTEN)
    assert release.fn(scope, shards) == read_release(workspace.store, publish(workspace, shards).name)


def test_what_was_never_published_is_none(store: Store) -> None:
    assert read_release(store, "nothing") is None
