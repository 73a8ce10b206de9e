import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.windows import choose_window, tokens_in

DOCUMENTS = st.lists(
    st.sampled_from(["One two three.", "A longer sentence with more words in it!", "\n\n", "x" * 40, "🙂🙂 é"])
)


def offsets_of(document):
    """Tokens of one to three characters, an emoji being four tokens, as byte-level tokenizers have it."""
    found = [match.span() for match in re.finditer(r"\S{1,3}", document)]
    return [span for span in found for _ in range(4 if "🙂" in document[slice(*span)] else 1)]


@given(DOCUMENTS.map(" ".join), st.integers(4, 40), st.floats(0, 1))
def test_a_window_is_never_over_budget_and_never_empty(document, budget, centre):
    offsets = offsets_of(document)
    start, end = choose_window(document, offsets, budget, centre)
    assert 0 <= start <= end <= len(document)
    if len(offsets) <= budget:
        assert (start, end) == (0, len(document))
    else:
        assert 0 < tokens_in(offsets, (start, end)) <= budget
        assert document[start:end].strip()


@pytest.mark.parametrize(("centre", "inside"), [(0.0, "number 0 "), (0.5, "number 50 "), (1.0, "number 99 ")])
def test_a_window_holds_whole_sentences_around_its_centre(centre, inside):
    document = " ".join(f"This is number {number} of them." for number in range(100))
    offsets = offsets_of(document)
    start, end = choose_window(document, offsets, 100, centre)
    window = document[start:end]
    assert inside in window
    assert re.fullmatch(r"(This is number \d+ of them\. ?)+", window)
    assert tokens_in(offsets, (start, end)) > 80


def test_a_sentence_over_the_budget_is_cut():
    document = "word " * 500
    start, end = choose_window(document, offsets_of(document), 50, 0.5)
    assert 0 < start < len(document) / 2 < end < len(document)
