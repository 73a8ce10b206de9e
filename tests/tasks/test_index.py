"""Building the bank: nothing lost, nothing embedded twice, kills survived."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.digests import digest
from models.errors import UsageError
from tasks import index as index_module
from tasks.bank import load_bank, read_vectors
from tasks.index import build, complexity_histogram, current_bank, in_parts, index, merge, read_templates
from tasks.neighbours import Neighbours, Vectors, build_index, measure_recall, recall
from tasks.records import Bank, CurrentBank
from tasks.settings import IndexSettings
from tasks.tables import BANK, REJECTED
from tests.tasks.small_bank import frame, mined, opened, scope_of, subject_rows, template_row
from tests.tasks.small_store import part_files


class Counting:
    """An embedding by digest that remembers what it was asked for."""

    def __init__(self, fail_after: int = 1_000_000) -> None:
        self.asked: list[str] = []
        self.fail_after = fail_after

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += texts
        vectors = np.stack([np.random.default_rng(int(digest(text), 16)).normal(size=16) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def numbered(count: int, first: int = 0) -> list[tuple[object, ...]]:
    """Different templates with different descriptions."""
    return [template_row(n, f"what is <fi>{n}</fi>?", f"A page about {n}.") for n in range(first, first + count)]


def test_identical_templates_are_merged_with_their_sources() -> None:
    """The first description stays; every merged row says into which template it went."""
    rows = [
        template_row(0, "what is <fi>a thing</fi>?", "first", "web"),
        template_row(1, "who is <fi>a person</fi> of <fi>a place</fi>?", "other", "web"),
        template_row(2, "what is <fi>a thing</fi>?", "second", "chat"),
        template_row(3, "what is <fi>a thing</fi>?", "third", "web"),
    ]
    batch = merge(frame(rows))
    assert batch.kept.schema == BANK
    assert batch.kept.row(0, named=True) == {
        "template_id": digest("what is <fi>a thing</fi>?"),
        "template": "what is <fi>a thing</fi>?",
        "compatible_document_description": "first",
        "complexity": 1,
        "template_source": "web",
        "sources": ["web", "chat"],
        "query_ids": ["q0", "q2", "q3"],
        "query_count": 3,
    }
    assert batch.rejected.schema == REJECTED
    assert batch.rejected.select("id", "reason", "detail", "row").rows() == [
        ("q2", "merged", digest("what is <fi>a thing</fi>?"), 2),
        ("q3", "merged", digest("what is <fi>a thing</fi>?"), 3),
    ]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_parts_reconcile_and_merge_as_the_whole(names: list[int], size: int) -> None:
    """Cutting into parts changes neither the templates nor their order, and loses no row."""
    rows = frame([template_row(n, f"<fi>{name}</fi>", f"d{n}") for n, name in enumerate(names)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "PART_TEMPLATES", size)
        parts = in_parts(rows)
    batches = [merge(part) for part in parts]
    assert all(len(batch.kept) <= size for batch in batches)
    assert sum(batch.counts(len(part)).rows_in for part, batch in zip(parts, batches, strict=True)) == len(names)
    assert pl.concat(batch.kept for batch in batches).equals(merge(rows).kept)


def test_histogram_counts_templates_of_the_named_sources() -> None:
    """A template counts for every source it came from."""
    rows = [
        template_row(0, "<fi>a</fi>", "d", "web"),
        template_row(1, "<fi>a</fi>", "d", "chat"),
        template_row(2, "<fi>b</fi> <fi>c</fi>", "d", "web"),
        template_row(3, "<fi>d</fi> <fi>e</fi>", "d", "web"),
    ]
    bank = merge(frame(rows)).kept
    assert complexity_histogram(bank) == {1: 1, 2: 2}
    assert complexity_histogram(bank, ["chat"]) == {1: 1}
    assert complexity_histogram(bank, ["chat", "web"]) == {1: 1, 2: 2}


@pytest.mark.parametrize("dtype", ["f32", "f16", "i8"])
def test_search_returns_exact_cosines_in_order(dtype: str) -> None:
    """Whatever the index's own precision; fewer templates than candidates are no problem."""
    vectors = Vectors([Counting()([f"{part}-{n}" for n in range(40)]) for part in range(3)])
    options = IndexSettings.model_validate({"dtype": dtype})
    neighbours = Neighbours(vectors, build_index(vectors, options))
    queries = Counting()([f"query {n}" for n in range(5)])
    everything = queries @ np.concatenate(vectors.parts).T
    rows, cosines = neighbours.search(queries, 200)
    assert rows.shape == (5, 120)
    np.testing.assert_allclose(cosines, -np.sort(-everything, axis=1), atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(everything, rows, 1), cosines, atol=1e-5)
    np.testing.assert_array_equal(neighbours.search(queries[:1], 200)[0], rows[:1])
    assert measure_recall(neighbours, 50) == pytest.approx(1.0)


def test_recall_is_the_share_of_true_neighbours() -> None:
    """Among equally near templates any one will do."""
    exact = np.array([[0.9, 0.8, 0.7]], dtype=np.float32)
    assert recall(exact, exact) == 1.0
    assert recall(np.array([[0.9, 0.7, 0.6]], dtype=np.float32), exact) == pytest.approx(2 / 3)
    assert recall(np.array([[0.9, 0.7, 0.7]], dtype=np.float32), exact) == 1.0


def test_same_templates_give_the_same_index() -> None:
    """One thread builds small banks, so that a run repeated after a kill finds the same neighbours."""
    vectors = Vectors([Counting()([str(n) for n in range(500)])])
    first, second = (bytes(build_index(vectors, IndexSettings()).save()) for _ in range(2))
    assert first == second


def test_bank_is_published_whole(store_url: str) -> None:
    """Every object lies where the layout says, the counts reconcile, and the loaded bank finds its own descriptions."""
    workspace = opened(store_url)
    selections = (mined(workspace, "a", numbered(30)), mined(workspace, "b", numbered(20, first=20)))
    job, embed = workspace.index_job(selections), Counting()
    bank = build(workspace, job, read_templates(workspace, selections), embed)
    assert bank.version == job.folder.removeprefix("bank/")
    assert (bank.templates, bank.dimensions, bank.recall_at_10) == (40, 16, 1.0)
    found = (name.removeprefix(f"{job.folder}/") for name in workspace.store.find(job.folder))
    names = {re.sub(r"-[0-9a-f]{16}\.", ".", name) for name in found}
    assert names == {
        "templates/part-00000.parquet", "templates/rejected-00000.parquet", "templates/part-00000.json",
        "vectors/part-00000.npy", "index/index.usearch", "index/settings.json", "receipt.json", "bank.json",
    }  # fmt: skip
    receipt = job.receipt()
    assert receipt is not None
    assert (receipt.counts.rows_in, receipt.counts.rows_out, receipt.counts.rejected) == (50, 40, {"merged": 10})
    loaded = load_bank(workspace.store, bank.version)
    descriptions = loaded.templates["compatible_document_description"].to_list()
    rows, cosines = loaded.neighbours.search(Counting()(descriptions), 3)
    assert rows[:, 0].tolist() == list(range(40))
    np.testing.assert_allclose(cosines[:, 0], 1, atol=1e-3)


def test_descriptions_of_earlier_versions_are_not_embedded_again(tmp_path: Path) -> None:
    """Only the new ones are, and the vectors taken over are the same to the bit."""
    workspace = opened(str(tmp_path))
    old = (mined(workspace, "a", numbered(30)),)
    both = (*old, mined(workspace, "b", numbered(10, first=30)))
    first, second, at_once = Counting(), Counting(), Counting()
    build(workspace, workspace.index_job(old), read_templates(workspace, old), first)
    job = workspace.index_job(both)
    bank = build(workspace, job, read_templates(workspace, both), second)
    assert len(first.asked) == 30
    assert second.asked == [f"A page about {n}." for n in range(30, 40)]
    apart = opened(str(tmp_path / "apart"))
    again = (mined(apart, "a", numbered(30)), mined(apart, "b", numbered(10, first=30)))
    alone = build(apart, apart.index_job(again), read_templates(apart, again), at_once)
    assert alone.version == bank.version
    templates = part_files(workspace.store, job.folder)
    assert part_files(apart.store, job.folder) == templates
    for name in ("vectors/part-00000.npy", "index/index.usearch"):
        assert workspace.store.read(f"{job.folder}/{name}") == apart.store.read(f"{job.folder}/{name}")


def test_another_embedder_or_precision_embeds_everything_anew(tmp_path: Path) -> None:
    """Vectors are only taken over where they are what would be made."""
    for overrides in ((), ("index.dtype=f32",), ("embedder.window_tokens=256",)):
        workspace, embed = opened(str(tmp_path), *overrides), Counting()
        selections = (mined(workspace, "a", numbered(5)),)
        job = workspace.index_job(selections)
        build(workspace, job, read_templates(workspace, selections), embed)
        assert len(embed.asked) == 5
        kept = read_vectors(workspace.store, job.folder.removeprefix("bank/"), 1, tmp_path).parts[0]
        assert kept.dtype == (np.float32 if "index.dtype=f32" in overrides else np.float16)


def test_killed_build_goes_on_after_the_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `bank.json` before everything is there; what was embedded is not embedded again."""
    monkeypatch.setattr(index_module, "PART_TEMPLATES", 10)
    workspace = opened(str(tmp_path))
    selections = (mined(workspace, "a", numbered(35)),)
    job, templates = workspace.index_job(selections), read_templates(workspace, selections)
    killed, resumed = Counting(fail_after=20), Counting()
    with pytest.raises(KeyboardInterrupt):
        build(workspace, job, templates, killed)
    assert not workspace.store.exists(f"{job.folder}/bank.json")
    assert job.receipt() is None
    bank = build(workspace, job, templates, resumed)
    assert (len(killed.asked), len(resumed.asked), bank.templates) == (20, 15, 35)
    loaded = load_bank(workspace.store, bank.version)
    assert loaded.templates["query_ids"].explode().to_list() == [f"q{n}" for n in range(35)]


def test_absent_reference_sources_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sampling then aims at nothing, and the record says so; present ones are taken."""
    rows = [template_row(0, "<fi>a</fi>", "d", "web"), template_row(1, "<fi>b</fi> <fi>c</fi>", "e", "chat")]
    for sources, effective in (('["wildchat"]', ()), ('["chat", "wildchat"]', ("chat",))):
        workspace = opened(str(tmp_path), f"index.reference_sources={sources}")
        selections = (mined(workspace, "a", rows),)
        with caplog.at_level(logging.WARNING):
            bank = build(workspace, workspace.index_job(selections), read_templates(workspace, selections), Counting())
        assert bank.reference_sources == effective
        assert bank.reference_complexity == ({2: 1} if effective else {1: 1, 2: 1})
    assert caplog.text.count("wildchat") == 1


def test_no_template_at_all_is_refused(tmp_path: Path) -> None:
    """With where the reasons are counted; queries not mined yet are another matter."""
    workspace = opened(str(tmp_path))
    with pytest.raises(UsageError, match="none of 0 selected queries became one; the receipts of the stages select"):
        read_templates(workspace, (mined(workspace, "a", []),))
    unmined = mined(workspace, "b", []).model_copy(update={"digest": "new"})
    with pytest.raises(UsageError, match="shard b are not mined"):
        read_templates(workspace, (unmined,))


def test_task_points_to_what_is_there(tmp_path: Path) -> None:
    """With the real MiniLM; the second call builds nothing, an older version becomes the current one again."""
    scope = scope_of(str(tmp_path))
    workspace = opened(scope.store)
    old = (mined(workspace, "a", subject_rows()),)
    both = (*old, mined(workspace, "b", numbered(3)))
    first = index.fn(scope, old)
    second = index.fn(scope, both)
    assert (first.templates, second.templates) == (5, 8)
    assert current_bank(scope) == second
    assert current_bank(scope.with_bank(first.version)) == first
    objects = workspace.store.find("bank")
    again = index.fn(scope, old)
    assert again == first
    assert workspace.store.find("bank") == objects
    assert workspace.store.read_record("bank/current.json", CurrentBank).version == first.version
    assert workspace.store.read_record(f"bank/{first.version}/bank.json", Bank) == first
