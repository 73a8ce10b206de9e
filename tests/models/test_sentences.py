import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sentences import sentences

TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(["Dr. ", "e.g. ", "Yes. ", "no", "\n", "\n\n", "- ", "? ", "«", "。", "1. "])).map(
        "".join
    ),
)


def split(text):
    return [text[start:end] for start, end in sentences(text)]


@given(TEXTS)
def test_spans_hold_all_the_text_in_order(text):
    spans = sentences(text)
    assert all(start < end for start, end in spans)
    assert spans == sorted(spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains. It pours.", ["It rains.", "It pours."]),
        ("Dr. Smith met J. K. Rowling. She left.", ["Dr. Smith met J. K. Rowling.", "She left."]),
        ("Use nuts, e.g. Brazil nuts, at 3.5 g. Salt it.", ["Use nuts, e.g. Brazil nuts, at 3.5 g.", "Salt it."]),
        ('"Why?" he said. “No!” Then he left.', ['"Why?" he said.', "“No!”", "Then he left."]),
        ("1. Clean the filter. Rinse it.", ["1. Clean the filter.", "Rinse it."]),
        ("**1. Sensor size** matters", ["**1. Sensor size** matters"]),
        ("今日は雨。明日は晴れ！", ["今日は雨。", "明日は晴れ！"]),
        ("Wait... what happened? Nothing.", ["Wait... what happened?", "Nothing."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text, expected):
    assert split(text) == expected


def test_lines_are_units_of_their_own():
    text = "A heading\nFirst sentence. Second one\n- item one\n- item two\n    x = 1\n    y = 2\n| a | b |"
    assert split(text) == [
        "A heading",
        "First sentence.",
        "Second one",
        "- item one",
        "- item two",
        "x = 1",
        "y = 2",
        "| a | b |",
    ]


def test_lines_broken_by_a_width_limit_are_joined():
    text = "The quick brown fox jumped over the lazy dog and\nran away from it. The end."
    assert split(text) == ["The quick brown fox jumped over the lazy dog and\nran away from it.", "The end."]


@pytest.mark.parametrize(
    "text", ["." * 200_000, " " * 200_000, "\n" * 200_000, "J. " * 60_000, "a.'" * 60_000, "?!" * 90_000]
)
def test_time_is_linear(text):
    started = time.monotonic()
    sentences(text)
    assert time.monotonic() - started < 3
