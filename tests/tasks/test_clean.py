"""Queries in one form."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.clean import check_length, clean_query


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  two   words\u00a0here ", "two words here"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("a\u200bb\ufeff\x00c\u202e", "abc"),
        ("a\x0bb\x0cc", "a b c"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("if x:\n    y  = 1   \n\n\n\nend\t", "if x:\n    y = 1\n\nend"),
        ("family: 👨\u200d👩\u200d👧", "family: 👨\u200d👩\u200d👧"),
        ("\u200b \n", ""),
    ],
)
def test_noise_goes_and_layout_stays(raw: str, clean: str) -> None:
    """Whitespace, invisible characters, Unicode form."""
    assert clean_query(raw) == clean


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_cleaning_is_done_at_once(text: str) -> None:
    """A second time changes nothing; what is left is in NFC and starts and ends with ink."""
    clean = clean_query(text)
    assert clean_query(clean) == clean == clean.strip()
    assert unicodedata.is_normalized("NFC", clean)


def test_bounds_are_inclusive() -> None:
    """In characters after cleaning."""
    found = [check_length("x" * length, 2, 4) for length in range(1, 6)]
    assert [refusal and refusal.reason for refusal in found] == ["too_short", None, None, None, "too_long"]
