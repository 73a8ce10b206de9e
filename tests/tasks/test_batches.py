"""Batches are cut by what finished shards took; before anything is known, only the first few are."""

from tasks.batches import cut
from tests.tasks import small_store
from tests.tasks.small_corpus import finish, recorded


def test_without_receipts_only_the_first_batches_are_cut() -> None:
    """As many as run at a time, so that the rest is cut by what they took."""
    overrides = ("service.width=2", "service.first_batch_shards=3")
    workspace, shards = recorded(9, *overrides)
    scope = small_store.scope_of(workspace.store.url, *overrides)
    assert cut(scope, "match", shards) == (shards[:3], shards[3:6])


def test_batches_take_about_as_long_as_wanted() -> None:
    """The size comes from the mean of earlier receipts of the stage, within its bounds; none is left out."""
    workspace, shards = recorded(7)
    finish(workspace, shards[0], "match", seconds=2.0)
    finish(workspace, shards[1], "match", seconds=4.0)
    for wanted, most, size in ((9.0, 200, 3), (0.1, 200, 1), (900.0, 2, 2)):
        scope = small_store.scope_of(
            workspace.store.url, f"service.batch_seconds={wanted}", f"service.most_batch_shards={most}"
        )
        batches = cut(scope, "match", shards)
        assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
        assert sum(batches, ()) == shards
