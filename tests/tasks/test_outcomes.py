"""The instantiator's verdicts as labels for the match threshold."""

import polars as pl
import pytest

from models.digests import digest
from models.errors import UsageError
from tasks.outcomes import calibrate_on_outcomes
from tasks.records import Shard
from tasks.tables import MATCHES, PAIRS, REJECTED
from tasks.work import Batch, run
from tasks.workspace import Workspace
from tests.tasks import small_corpus


def decide(workspace: Workspace, shard: Shard, similarities: dict[float, str]) -> None:
    """Matches of one shard, one per similarity, and what the instantiator made of each."""
    rows = [_match(shard, similarity) for similarity in similarities]
    matches = pl.DataFrame(rows, schema=MATCHES, orient="row")
    run(workspace.match_job(shard), [matches], lambda found: Batch(found, REJECTED.to_frame()))
    verdicts = pl.Series("verdict", list(similarities.values()))

    def instantiate(found: pl.DataFrame) -> Batch:
        refused = found.filter(verdicts != "pair").select(
            id="pair_id", url="document_url", row="document_row", kind=pl.lit("rejected")
        )
        reasons = verdicts.filter(verdicts != "pair").alias("reason")
        made = found.filter(verdicts == "pair")
        pairs = pl.concat([PAIRS.to_frame(), made], how="diagonal").match_to_schema(PAIRS)
        return Batch(pairs, pl.concat([REJECTED.to_frame(), refused.with_columns(reasons)], how="diagonal"))

    run(workspace.instantiate_job(shard), [matches], instantiate)


def _match(shard: Shard, similarity: float) -> tuple[object, ...]:
    values = {
        "pair_id": digest(shard.name, similarity),
        "document_id": "cats",
        "document_url": shard.file.url,
        "document_row": 0,
        "similarity": similarity,
    }
    return tuple(values.get(name) for name in MATCHES)


@pytest.fixture
def store() -> tuple[Workspace, Shard]:
    """A store with a bank and one shard of documents."""
    workspace, (shard,) = small_corpus.recorded(1)
    return workspace, shard


def test_pairs_are_compatible_nulls_are_not_and_the_rest_says_nothing(store: tuple[Workspace, Shard]) -> None:
    """A cut-off answer at the highest similarity of all does not count."""
    workspace, shard = store
    decide(workspace, shard, {0.95: "finish_length", 0.9: "pair", 0.8: "pair", 0.7: "null", 0.6: "pair", 0.5: "null"})
    found = calibrate_on_outcomes(workspace.scope, 1.0)
    assert (found.threshold, found.precision, found.kept) == (0.8, 1.0, 2)
    assert found.auc == pytest.approx(5 / 6)


def test_a_store_without_nulls_says_what_is_missing(store: tuple[Workspace, Shard]) -> None:
    """Nothing can be picked from pairs alone."""
    workspace, shard = store
    decide(workspace, shard, {0.9: "pair", 0.8: "pair"})
    with pytest.raises(UsageError, match="incompatible"):
        calibrate_on_outcomes(workspace.scope, 0.8)
