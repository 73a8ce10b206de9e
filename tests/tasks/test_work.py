"""Parts, receipts and counts: nothing lost, nothing doubled, nothing half done."""

from collections.abc import Callable
from contextlib import suppress

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ShardError
from tasks.records import Counts, Part, Receipt, Tokens, part_file
from tasks.storage import Store
from tasks.tables import REJECTED
from tasks.work import Batch, Job, part_record, publish, read_rejected, read_rows, record_failure, run, slices

ROWS = pl.DataFrame({"n": list(range(10))})


def refuse(rows: pl.DataFrame, reason: str) -> pl.DataFrame:
    size = len(rows)
    return pl.DataFrame(
        {
            "id": [str(n) for n in rows["n"]],
            "url": [None] * size,
            "row": rows["n"],
            "kind": ["rejected"] * size,
            "reason": [reason] * size,
            "detail": [""] * size,
            "raw": [None] * size,
            "attempts": [1] * size,
        },
        schema=REJECTED,
    )


def even(rows: pl.DataFrame) -> Batch:
    """Keep even numbers."""
    odd = rows.filter(pl.col("n") % 2 == 1)
    return Batch(rows.filter(pl.col("n") % 2 == 0), refuse(odd, "odd"), Tokens(prompt=len(rows)))


def job(store: Store) -> Job:
    return Job(store, "match", "s", "shards/c/s/match-k", "key")


def test_a_receipt_tells_everything(store: Store) -> None:
    """Counts, rows, tokens, parts; and the rows come back in order."""
    receipt = run(job(store), slices(ROWS, 4), even)
    assert receipt.counts == Counts(rows_in=10, rows_out=5, rejected={"odd": 5})
    assert (receipt.rows, receipt.tokens.prompt, len(receipt.parts)) == (5, 10, 3)
    folder = job(store).folder
    assert pl.concat(read_rows(store, folder, receipt))["n"].to_list() == [0, 2, 4, 6, 8]
    assert read_rejected(store, folder, receipt)["id"].to_list() == ["1", "3", "5", "7", "9"]


def test_a_second_run_makes_nothing(store: Store) -> None:
    """The receipt is found and no part is made again."""
    first = run(job(store), slices(ROWS, 4), even)
    calls: list[int] = []
    assert run(job(store), slices(ROWS, 4), counting(calls)) == first
    assert calls == []


def counting(calls: list[int], fail_at: int | None = None) -> Callable[[pl.DataFrame], Batch]:
    def process(rows: pl.DataFrame) -> Batch:
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        calls.append(len(rows))
        return even(rows)

    return process


@pytest.mark.parametrize("killed_at", [0, 1, 2])
def test_a_killed_shard_leaves_no_receipt_and_resumes_after_its_last_part(store: Store, killed_at: int) -> None:
    """What was finished is not made again, and the result equals that of an undisturbed run."""
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run(job(store), slices(ROWS, 4), counting(calls, fail_at=killed_at))
    assert job(store).receipt() is None
    receipt = run(job(store), slices(ROWS, 4), counting(calls))
    assert len(calls) == 3
    assert receipt.counts == Counts(rows_in=10, rows_out=5, rejected={"odd": 5})


@pytest.mark.parametrize(("first", "then"), [(4, 8), (8, 4), (4, 5), (5, 4), (3, 10)])
@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_shard_resumed_with_parts_of_another_size_loses_and_doubles_nothing(
    store: Store, first: int, then: int, killed_at: int
) -> None:
    """Also when it is killed again on the way; what is left is what an undisturbed run makes."""
    for size in (first, then, first):
        with suppress(KeyboardInterrupt):
            run(job(store), slices(pl.concat([ROWS, ROWS]), size), counting([], fail_at=killed_at))
    receipt = run(job(store), slices(pl.concat([ROWS, ROWS]), then), even)
    assert receipt.counts == Counts(rows_in=20, rows_out=10, rejected={"odd": 10})
    rows = pl.concat(read_rows(store, job(store).folder, receipt))["n"].to_list()
    assert rows == [0, 2, 4, 6, 8, 0, 2, 4, 6, 8]


def test_a_part_without_its_record_is_made_again(store: Store) -> None:
    """The record is the last object of a part: without it the others do not count."""
    place = job(store)
    digest = run(job(Store("memory://another")), slices(ROWS, 10), even).parts[0].digest
    store.write(f"{place.folder}/{part_file(0, digest)}", b"half a file")
    receipt = run(place, slices(ROWS, 10), even)
    assert receipt.rows == 5
    assert len(next(read_rows(store, place.folder, receipt))) == 5


def test_lost_rows_stop_the_shard(store: Store) -> None:
    """A stage that drops a row in silence cannot write a receipt."""
    with pytest.raises(ShardError, match=r"match of shard s, part 0: .*rows do not reconcile: 10 in, but 9 out"):
        run(job(store), [ROWS], lambda rows: Batch(rows.head(9), REJECTED.to_frame()))
    assert job(store).receipt() is None


def test_no_rows_make_an_empty_receipt(store: Store) -> None:
    """An empty shard is finished, not forgotten."""
    receipt = run(job(store), slices(ROWS.head(0), 4), even)
    assert receipt.counts == Counts()
    assert read_rejected(store, job(store).folder, receipt).schema == REJECTED


def test_failures_are_numbered(store: Store) -> None:
    """Every attempt leaves its own record."""
    for _ in range(3):
        record_failure(job(store), ValueError("bad"))
    assert [name[-8:] for name in store.find(job(store).folder)] == ["001.json", "002.json", "003.json"]


def test_the_record_of_a_part_comes_last(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order of publication: rejected rows, rows, record."""
    store, order = Store("memory://order"), []
    write = store.write
    monkeypatch.setattr(store, "write", lambda name, data: (order.append(name.rpartition("/")[2]), write(name, data)))
    publish(job(store), 0, even(ROWS), 10, 0.1)
    part = store.read_record(part_record(job(store).folder, 0), Part)
    assert order == [part.rejected_file, part.file, "part-00000.json"]
    assert [name.split("-")[0] for name in order] == ["rejected", "part", "part"]


def test_two_workers_on_one_shard_agree_on_the_receipt_that_was_first(store: Store) -> None:
    """The second one's answers differ; what the first receipt names is what it said, part by part."""

    def odd(rows: pl.DataFrame) -> Batch:
        if len(seen) == 1:
            seen.append(run(job(store), slices(ROWS, 4), even))
        seen.append(rows)
        kept = rows.filter(pl.col("n") % 2 == 1)
        return Batch(kept, refuse(rows.filter(pl.col("n") % 2 == 0), "even"))

    seen: list[object] = []
    late = run(job(store), slices(ROWS, 4), odd)
    assert late == seen[1] == job(store).receipt()
    # The first part was there already when the second worker, the first one to finish, came to the shard.
    assert late.counts == Counts(rows_in=10, rows_out=5, rejected={"odd": 3, "even": 2})
    rows = pl.concat(read_rows(store, job(store).folder, late))["n"].to_list()
    assert rows == [1, 3, 4, 6, 8]
    assert len(read_rejected(store, job(store).folder, late)) == 5


@given(
    out=st.integers(0, 50),
    rejected=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 9)),
    failed=st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 9)),
    drift=st.integers(-3, 3),
)
def test_counts_exist_only_when_they_reconcile(
    out: int, rejected: dict[str, int], failed: dict[str, int], drift: int
) -> None:
    """`rows in = rows out + rejected + failed`, and sums of counts reconcile too."""
    rows_in = out + sum(rejected.values()) + sum(failed.values())
    counts = Counts(rows_in=rows_in, rows_out=out, rejected=rejected, failed=failed)
    assert (counts + counts).rows_in == 2 * rows_in
    if drift:
        with pytest.raises(ValueError, match="do not reconcile"):
            Counts(rows_in=rows_in + drift, rows_out=out, rejected=rejected, failed=failed)


def test_receipts_survive_json(store: Store) -> None:
    """What is written is what is read."""
    receipt = run(job(store), slices(ROWS, 4), even)
    assert store.read_record(job(store).receipt_name, Receipt) == receipt
