"""Failed work done again on a real service, in the three ways that a user has: only what is missing is done."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tasks.records import Receipt
from tests.service.operating import Operator
from tests.service.piles import Pile, harm, made, read_in

pytestmark = [pytest.mark.prefect, pytest.mark.service]


def test_retry_of_a_batch_retry_of_a_planner_and_the_form_do_only_what_is_missing(operator: Operator) -> None:
    """One of three shards has lost its documents; it is mended, and brought through one step at a time."""
    pile = Pile(operator, "harmed")
    for number, file in enumerate(("a", "b", "c")):
        pile.write(file, 2 * number, 2 * number + 2)
    workspace, (_, poison, _) = read_in(pile)
    mend = harm(pile, poison)
    failed = pile.ingest("Failed")
    states = {batch["name"]: batch["state_name"] for batch in operator.batches(failed.id)}
    assert states == {"match-harmed-1": "Failed", "instantiate-harmed-1": "Completed", "judge-harmed-1": "Completed"}
    assert made({}, pile.receipts())["judge"] == {"a", "c"}
    form = json.loads(unquote(re.search(r"/run\?parameters=([^)]+)\)", operator.artifact("failed-harmed"))[1]))
    assert form["shards"] == []
    (link,) = re.findall(r"\[do again\]\(\S+\?parameters=([^)]+)\)", operator.artifact("failed-harmed"))
    assert json.loads(unquote(link))["shards"] == [poison.name]

    mend()
    before, asked = pile.receipts(), operator.asked()
    (match,) = (batch for batch in operator.batches(failed.id) if batch["name"] == "match-harmed-1")
    assert operator.retry(match["id"])["state_type"] == "COMPLETED"
    assert made(before, pile.receipts()) == {"match": {"b"}}
    assert operator.asked() == asked

    before = pile.receipts()
    assert operator.retry(failed.id)["state_type"] == "COMPLETED", operator.log(failed.id)
    assert made(before, pile.receipts()) == {"instantiate": {"b"}, "judge": {"b"}}
    assert len(operator.batches(failed.id)) == len(states) + 2

    before, asked = pile.receipts(), operator.asked()
    again = operator.run("rerun-shards/rerun", **json.loads(unquote(link)), stages=["judge"], force=True)
    assert made(before, pile.receipts()) == {"judge": {"b"}}
    assert operator.asked() - asked == questions(operator.store / workspace.judge_job(poison).receipt_name)
    assert {batch["work_queue_name"] for batch in operator.batches(again.id)} == {"rerun"}


def questions(receipt: Path) -> int:
    """Requests behind a receipt: one a row."""
    return Receipt.model_validate_json(receipt.read_bytes()).counts.rows_in
