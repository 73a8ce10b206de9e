"""Two planners of one corpus and two workers of one pool: the same work done at once harms nothing."""

from itertools import combinations

import pytest

from tests.service.operating import Operator, second_worker
from tests.service.piles import Pile, assert_same

pytestmark = [pytest.mark.prefect, pytest.mark.service]


def test_two_planners_and_two_workers_make_what_one_of_each_makes(operator: Operator) -> None:
    """They are started together and process the same shards at the same time."""
    alone, both = Pile(operator, "alone"), Pile(operator, "both", "alone")
    for number, file in enumerate(("a", "b", "c")):
        alone.write(file, 4 * number, 4 * number + 4)
    alone.ingest()
    with second_worker(operator):
        planners = [operator.start("ingest-corpus/backfill", **both.parameters) for _ in range(2)]
        assert [operator.wait(planner.id)["state_type"] for planner in planners] == ["COMPLETED"] * 2
    batches = [batch for planner in planners for batch in operator.batches(planner.id)]
    assert any(
        one["name"] == other["name"] and one["start_time"] < other["end_time"] and other["start_time"] < one["end_time"]
        for one, other in combinations(batches, 2)
    )
    assert_same(both, alone)


def test_of_two_scheduled_planners_one_is_cancelled(operator: Operator) -> None:
    """The schedule never overlaps with itself."""
    pile = Pile(operator, "crowded")
    pile.write("a", 0, 2)
    planners = [operator.start("ingest-corpus/scheduled", **pile.parameters) for _ in range(2)]
    assert sorted(operator.wait(planner.id)["state_type"] for planner in planners) == ["CANCELLED", "COMPLETED"]
