"""Matching: the threshold, the draw, and what each document gets."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.digests import digest
from models.errors import ShardError, UsageError
from tasks.index import index
from tasks.match import choose, match, sampling_weights
from tasks.settings import MatchSettings
from tasks.tables import MATCHES
from tasks.work import read_rejected, read_rows
from tests.tasks.small_bank import SUBJECTS, ingested, mined, opened, scope_of, subject_rows
from tests.tasks.small_store import part_files

BEES = "Honey bees visit flowers and make honey out of nectar. A hive holds one queen and many workers. " * 6
CASTLES = "A medieval castle had thick walls, four towers and a moat; its gate was guarded day and night. " * 6
NONSENSE = "qwe rty uio asd fgh jkl zxc vbn. " * 20
LOW = "match.threshold=0.6"


def test_equal_histograms_give_equal_weights() -> None:
    """Then the draw is uniform."""
    assert set(sampling_weights({1: 5, 2: 9, 14: 3}, {1: 5, 2: 9, 14: 3}).values()) == {1.0}


def test_weights_are_quotients_of_shares_and_none_is_zero() -> None:
    """What the reference has more of than the bank weighs more; ten slots and more are one class."""
    weights = sampling_weights({1: 900, 2: 100}, {1: 100, 2: 700, 3: 100, 10: 60, 30: 40})
    assert list(weights) == list(range(1, 11))
    assert weights[1] == pytest.approx((101 / 1010) / (901 / 1010))
    assert weights[2] == pytest.approx((701 / 1010) / (101 / 1010))
    assert weights[10] == pytest.approx(101 / 1)
    assert weights[5] > 0


cosines = arrays.arrays(np.float32, (4, 5), elements=st.floats(-1, 1, width=32))
ids = arrays.arrays(np.int64, (4, 5), elements=st.integers(-1, 12))


@given(ids, cosines, st.floats(-1, 1), st.integers(1, 8))
@settings(max_examples=150)
def test_drawn_templates_pass_and_are_different(
    rows: np.ndarray, cosines: np.ndarray, threshold: float, most: int
) -> None:
    """As many as there are up to the limit; each with the chunk that found it best and the cosine it has there."""
    options = MatchSettings(threshold=threshold, templates_per_document=most)
    matches = choose("document", rows, cosines, np.ones_like(cosines), options)
    passing = (rows >= 0) & (cosines >= threshold)
    found = set(rows[passing].tolist())
    assert len(matches) == min(most, len(found))
    assert len({drawn.row for drawn in matches}) == len(matches)
    for drawn in matches:
        here = cosines[passing & (rows == drawn.row)]
        assert drawn.similarity == pytest.approx(float(here.max()))
        assert drawn.similarity in cosines[drawn.chunk][rows[drawn.chunk] == drawn.row].tolist()
    assert [drawn.chunk for drawn in matches] == sorted(drawn.chunk for drawn in matches)


def test_every_embedding_draws_one_of_its_own_first() -> None:
    """So that six templates come from six places of a document when there are enough of them."""
    rows = np.arange(60).reshape(6, 10)
    values = np.full((6, 10), 0.9, dtype=np.float32)
    for number in range(20):
        matches = choose(f"document {number}", rows, values, np.ones_like(values), MatchSettings(threshold=0.5))
        assert [drawn.chunk for drawn in matches] == [0, 1, 2, 3, 4, 5]


def test_draw_follows_the_document_and_the_seed() -> None:
    """The same for the same ones, in whatever order the neighbours come; others for others."""
    rows = np.arange(60).reshape(6, 10)
    values = np.full((6, 10), 0.9, dtype=np.float32)
    ones = np.ones_like(values)
    first = choose("a", rows, values, ones, MatchSettings(threshold=0.5))
    assert choose("a", rows[:, ::-1], values, ones, MatchSettings(threshold=0.5)) == first
    assert choose("b", rows, values, ones, MatchSettings(threshold=0.5)) != first
    assert choose("a", rows, values, ones, MatchSettings(threshold=0.5, seed=1)) != first


def test_drawn_complexities_move_to_the_reference() -> None:
    """A bank of simple templates, a reference of complex ones: the draw lies close to the reference."""
    bank, reference = {1: 800, 2: 150, 3: 50}, {1: 300, 2: 400, 3: 300}
    weights = sampling_weights(bank, reference)
    pool = np.repeat([1, 2, 3], [800, 150, 50])
    die = np.random.default_rng(0)
    drawn: Counter[int] = Counter()
    for number in range(400):
        rows = np.stack([die.choice(1000, 60, replace=False) for _ in range(6)])
        weight = np.vectorize(weights.get)(pool[rows]).astype(np.float32)
        matches = choose(str(number), rows, np.full(rows.shape, 0.9, np.float32), weight, MatchSettings())
        drawn.update(int(pool[found.row]) for found in matches)
    shares = {complexity: count / drawn.total() for complexity, count in drawn.items()}
    assert shares == pytest.approx({1: 0.3, 2: 0.4, 3: 0.3}, abs=0.05)


def test_documents_get_the_templates_of_their_subject(store_url: str) -> None:
    """Real MiniLM and usearch: matched rows carry their provenance, the others say what they missed."""
    scope = scope_of(store_url, LOW, "match.part_rows=2")
    workspace = opened(store_url, LOW, "match.part_rows=2")
    index.fn(scope, (mined(workspace, "a", subject_rows()),))
    shard = ingested(workspace, {"bees": BEES, "nonsense": NONSENSE, "castles": CASTLES})
    receipt = match.fn(scope, shard)
    assert (receipt.counts.rows_in, receipt.counts.rows_out, receipt.counts.rejected) == (3, 2, {"no_match": 1})
    folder = workspace.match_job(shard).folder
    rows = pl.concat(read_rows(workspace.store, folder, receipt))
    assert rows.schema == MATCHES
    subjects = dict(rows.select("document_id", "template").iter_rows())
    assert subjects == {"bees": "what of bees in <fi>a place</fi>?", "castles": "what of castles in <fi>a place</fi>?"}
    first = rows.row(0, named=True)
    assert first["pair_id"] == digest("d.jsonl", "bees", digest("what of bees in <fi>a place</fi>?"))
    assert (first["document_source"], first["template_source"], first["document_row"]) == ("library", "web", 0)
    assert 0.6 <= first["similarity"] <= 1
    assert 0 <= first["chunk"] <= 5
    missed = read_rejected(workspace.store, folder, receipt).row(0, named=True)
    assert (missed["id"], missed["url"], missed["row"], missed["reason"]) == ("nonsense", "d.jsonl", 1, "no_match")
    assert "nearest 0." in missed["detail"]
    assert "threshold 0.6: what of" in missed["detail"]


def test_matching_is_done_once_and_the_same_each_time(tmp_path: Path) -> None:
    """A second call finds the receipt; parts made in another order of work would have been the same."""
    scope = scope_of(str(tmp_path), "match.threshold=-1.0")
    workspace = opened(str(tmp_path), "match.threshold=-1.0")
    index.fn(scope, (mined(workspace, "a", subject_rows()),))
    shard = ingested(workspace, {"bees": BEES, "castles": CASTLES, "nonsense": NONSENSE})
    receipt = match.fn(scope, shard)
    assert match.fn(scope, shard) == receipt
    assert receipt.counts.rejected == {}
    assert receipt.rows == 3 * len(SUBJECTS)
    folder = workspace.match_job(shard).folder
    before = part_files(workspace.store, folder)
    assert len(before) == 1
    for name in workspace.store.find(folder):
        workspace.store.delete(name)
    match.fn(scope, shard)
    assert part_files(workspace.store, folder) == before


def test_where_nothing_matches_the_shard_is_finished_and_empty(tmp_path: Path) -> None:
    """An empty table of the right schema, and every document with its reason."""
    scope = scope_of(str(tmp_path), "match.threshold=0.99")
    workspace = opened(str(tmp_path), "match.threshold=0.99")
    index.fn(scope, (mined(workspace, "a", subject_rows()),))
    shard = ingested(workspace, {"bees": BEES, "castles": CASTLES})
    receipt = match.fn(scope, shard)
    assert (receipt.rows, receipt.counts.rejected) == (0, {"no_match": 2})
    (rows,) = read_rows(workspace.store, workspace.match_job(shard).folder, receipt)
    assert rows.schema == MATCHES


def test_missing_bank_and_missing_ingest_are_told_apart(tmp_path: Path) -> None:
    """Each names the command that makes it."""
    scope = scope_of(str(tmp_path))
    workspace = opened(str(tmp_path))
    shard = ingested(workspace, {"bees": BEES})
    with pytest.raises(UsageError, match="has no template bank"):
        match.fn(scope, shard)
    index.fn(scope, (mined(workspace, "a", subject_rows()),))
    with pytest.raises(ShardError, match="shard d-0 has no ingest receipt"):
        match.fn(scope, shard.model_copy(update={"key": "elsewhere"}))
