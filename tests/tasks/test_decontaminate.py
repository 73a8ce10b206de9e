"""Queries that give a benchmark away (Tulu 3 procedure)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.decontaminate import Decontaminator, EvaluationRow, ngrams, read_evaluation, tokenize
from tasks.inputs import list_files
from tasks.settings import QueriesSettings

WORDS = "a b c d e f g h i j k l m n o p"
EVALUATION = [EvaluationRow("bench.jsonl row 0", tokenize(WORDS)), EvaluationRow("bench.jsonl row 1", ("who", "won"))]


def reasons(*texts: str, ngram: int = 8, max_overlap: float = 0.5) -> list[str | None]:
    """The detail of each text's refusal."""
    found = Decontaminator(EVALUATION, ngram, max_overlap)(texts)
    assert {refusal.reason for refusal in found if refusal} <= {"contaminated"}
    return [refusal and refusal.detail for refusal in found]


def test_a_query_that_covers_more_than_the_allowed_share_is_contaminated() -> None:
    """9 of 16 tokens are more than half, 8 are not."""
    nine, eight = "x A, b c d e f g h I! y", "a b c d e f g h"
    assert reasons(nine, eight) == ["covers 56% of bench.jsonl row 0", None]
    assert reasons(eight, max_overlap=0.4) == ["covers 50% of bench.jsonl row 0"]


def test_coverage_adds_up_over_separate_places() -> None:
    """Tokens count once however many n-grams cover them."""
    assert reasons("a b c d e and i j k l m n", ngram=4) == ["covers 69% of bench.jsonl row 0"]


def test_a_short_row_is_matched_as_a_whole() -> None:
    """It has no n-gram; a query that merely contains it is fine."""
    assert reasons("Who won?", "who won the war") == ["equals bench.jsonl row 1", None]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=12), st.integers(1, 3))
def test_the_evaluation_row_itself_is_always_contaminated(tokens: list[str], ngram: int) -> None:
    """Whatever repeats inside it."""
    row = EvaluationRow("x", tuple(tokens))
    assert Decontaminator([row], ngram, 0.99)([" ".join(tokens)])[0] is not None
    assert len(list(ngrams(row.tokens, ngram))) == len(tokens) - ngram + 1


def test_evaluation_files_are_read_like_queries(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without bounds on the length; rows without a text are logged."""
    path = tmp_path / "bench.jsonl"
    path.write_text(
        "\n".join(json.dumps(row) for row in ({"question": "Who?"}, {"other": 1}, {"question": "x " * 9000}))
    )
    settings = QueriesSettings()
    rows = read_evaluation(settings, list_files(settings, [str(path)]))
    assert [(row.place, len(row.tokens)) for row in rows] == [(f"{path} row 0", 1), (f"{path} row 2", 9000)]
    assert "1 rows without a text" in caplog.text
