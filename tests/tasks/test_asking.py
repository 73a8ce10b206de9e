"""Every row ends in exactly one way, and too many failures end the part."""

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine import Completion, Message, Request
from models.errors import ShardError, TransientError
from models.refusals import Refusal
from models.settings import AskSettings, Sampling
from tasks.asking import Asked, ask_rows
from tasks.records import Counts, Tokens
from tasks.tables import REJECTED
from tasks.work import Batch
from tests.tasks.scripted_engine import ScriptedEngine, completion, failure

ROWS = pl.DataFrame({"id": ["a", "b", "c", "d"], "url": "f.jsonl", "row": [0, 1, 2, 3], "query": list("wxyz")})
SETTINGS = AskSettings(engine="script", re_asks=1, error_budget=0.05)


def requests(texts: list[str]) -> list[Request | Refusal]:
    """One request per text, all of the same id; a text `refuse` is refused."""
    return [
        Refusal("refused", "unasked")
        if text == "refuse"
        else Request("same", (Message("user", text),), Sampling(temperature=0.0))
        for text in texts
    ]


def reply(request: Request) -> Completion:
    """The text itself, or the failure that it names."""
    text = request.messages[0].content
    return failure(request, text) if text in ("unavailable", "invalid_grammar") else completion(request, text)


def read(place: int, answer: Completion) -> str | Refusal:
    """The place and the text; a number is malformed and stays so."""
    return Refusal("malformed", answer.text, malformed=True) if answer.text.isdigit() else f"{place}:{answer.text}"


def ask(texts: list[str], script: Callable[[Request], Completion] = reply, budget: float = 0.05) -> Asked[str]:
    """Ask the scripted engine."""
    settings = SETTINGS.model_copy(update={"error_budget": budget})
    return ask_rows(ScriptedEngine(script), requests(texts), read, settings)


def test_answers_find_their_rows_whatever_the_order() -> None:
    """Both halves together are all rows, with the raw completion and the attempts."""
    asked = ask(["one", "2", "refuse", "invalid_grammar"])
    kept, values = asked.accepted(ROWS)
    assert (kept["id"].to_list(), kept["attempts"].to_list(), values) == (["a"], [1], ["0:one"])
    refused = asked.refused(ROWS)
    assert refused.schema == REJECTED
    assert refused.rows() == [
        ("b", "f.jsonl", 1, "rejected", "malformed", "2", "2", 2),
        ("c", "f.jsonl", 2, "rejected", "refused", "unasked", None, 0),
        ("d", "f.jsonl", 3, "failed", "invalid_grammar", "invalid_grammar on purpose", None, 1),
    ]


def test_tokens_of_all_attempts_are_counted() -> None:
    """A malformed answer costs twice."""
    assert ask(["one", "2"]).tokens == Tokens(prompt=30, cached=12, output=15)


def test_a_re_ask_has_another_seed() -> None:
    """So that the answer can differ."""
    engine = ScriptedEngine(reply)
    ask_rows(engine, requests(["2"]), read, SETTINGS)
    assert [request.sampling.seed for request in engine.asked] == [0, 1]


def test_failures_within_the_budget_are_counted() -> None:
    """One of twenty at five per cent."""
    asked = ask(["unavailable"] + ["fine"] * 19)
    assert [result.failed for result in asked.results] == [True] + [False] * 19


@pytest.mark.parametrize(("kind", "error"), [("unavailable", TransientError), ("invalid_grammar", ShardError)])
def test_failures_beyond_the_budget_end_the_part(kind: str, error: type[Exception]) -> None:
    """To be tried again only when that may help; the message says how many and of which kind."""
    with pytest.raises(error, match=f"2 of 20 requests failed .2 {kind}.*5%"):
        ask([kind] * 2 + ["fine"] * 18)
    ask([kind] * 2 + ["fine"] * 18, budget=0.1)


def test_a_small_part_survives_bad_rows_but_not_an_engine_that_is_away() -> None:
    """Two bad rows of four say nothing about the shard."""
    assert len(ask(["invalid_grammar"] * 2 + ["fine"] * 2).results) == 4
    with pytest.raises(TransientError):
        ask(["unavailable"] * 4)


def test_a_small_part_of_which_nothing_is_left_is_given_up() -> None:
    """Otherwise a shard whose every request is refused would be done for good; one failure is within the budget."""
    with pytest.raises(ShardError, match="15 of 15 requests failed"):
        ask(["invalid_grammar"] * 15)
    with pytest.raises(ShardError, match="2 of 2 requests failed"):
        ask(["refuse", "invalid_grammar", "invalid_grammar"])
    assert [result.failed for result in ask(["invalid_grammar"]).results] == [True]


def test_nothing_to_ask_asks_nothing() -> None:
    """Both halves have their schemas."""
    asked = ask([])
    kept, values = asked.accepted(ROWS.clear())
    assert (len(kept), values, asked.tokens) == (0, [], Tokens())
    assert asked.refused(ROWS.clear()).schema == REJECTED


@given(st.lists(st.sampled_from(["fine", "7", "refuse", "invalid_grammar", "unavailable"]), max_size=30))
def test_rows_always_reconcile(texts: list[str]) -> None:
    """In is out and rejected and failed."""
    rows = pl.DataFrame({"id": texts, "url": texts, "row": range(len(texts))})
    asked = ask(texts, budget=1.0)
    batch = Batch(asked.accepted(rows)[0], asked.refused(rows), asked.tokens)
    counts = batch.counts(len(texts))
    assert counts == Counts(
        rows_in=len(texts),
        rows_out=texts.count("fine"),
        rejected={
            name: texts.count(text) for name, text in (("malformed", "7"), ("refused", "refuse")) if text in texts
        },
        failed={name: texts.count(name) for name in ("invalid_grammar", "unavailable") if name in texts},
    )
