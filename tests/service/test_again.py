"""Failed work done again on a real service, in the three ways that a user has: only what is missing is done."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tasks.ingest import ingest, record_corpus, unread_files
from tasks.plan import document_shards
from tasks.records import Receipt, Scope, Shard
from tasks.workspace import Workspace, open_workspace
from tests.service.operating import Operator
from tests.service.piles import Pile, made

pytestmark = [pytest.mark.prefect, pytest.mark.service]


def read_in(pile: Pile) -> tuple[Workspace, tuple[Shard, ...]]:
    """The files read into the store by this process, so that a test can harm them before the planner comes."""
    scope = Scope(**pile.scope)
    for file in unread_files(scope, "documents", tuple(pile.documents)):
        ingest.fn(scope, "documents", file)
    record_corpus(scope, "documents", tuple(pile.documents))
    return open_workspace(scope).pinned(), document_shards(scope)


def test_retry_of_a_batch_retry_of_a_planner_and_the_form_do_only_what_is_missing(operator: Operator) -> None:
    """One of three shards has lost its documents; it is mended, and brought through one step at a time."""
    pile = Pile(operator, "harmed")
    for number, file in enumerate(("a", "b", "c")):
        pile.write(file, 2 * number, 2 * number + 2)
    workspace, (_, poison, _) = read_in(pile)
    part = operator.store / workspace.ingest_job("documents", poison.name, poison.key).folder / "part-00000.parquet"
    part.rename(away := operator.folder / "away.parquet")
    failed = pile.ingest("Failed")
    states = {batch["name"]: batch["state_name"] for batch in operator.batches(failed.id)}
    assert states == {"match-harmed-1": "Failed", "instantiate-harmed-1": "Completed", "judge-harmed-1": "Completed"}
    assert made({}, pile.receipts())["judge"] == {"a", "c"}
    form = json.loads(unquote(re.search(r"/run\?parameters=([^)]+)\)", operator.artifact("failed-harmed"))[1]))
    assert form["shards"] == []
    (link,) = re.findall(r"\[do again\]\(\S+\?parameters=([^)]+)\)", operator.artifact("failed-harmed"))
    assert json.loads(unquote(link))["shards"] == [poison.name]

    away.rename(part)
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
