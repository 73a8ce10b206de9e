"""Rows to texts with ids and sources."""

import math
from typing import Any

import pytest

from models.refusals import Refusal
from tasks.extract import Extractor, Item, find_field
from tasks.readers import Row
from tasks.settings import ReadSettings, SourceSettings


def items(fields: dict[str, Any] | Refusal, source: SourceSettings | None = None, **settings: Any) -> list[Item]:
    """What row 7 of a file `notes` gives."""
    extractor = Extractor(ReadSettings(**settings), source or SourceSettings(), "notes")
    return list(extractor.items(Row(7, fields)))


def reason(fields: dict[str, Any], source: SourceSettings | None = None, **settings: Any) -> str:
    """The reason why a row gives no text."""
    (item,) = items(fields, source, **settings)
    assert item.refusal is not None
    assert item.text == ""
    return item.refusal.reason


def test_the_first_of_the_known_fields_is_the_text() -> None:
    """Ids of numbers become strings; the row's own source counts when the settings name none."""
    assert items({"prompt": " as it is\n", "id": 5, "source": "forum"}) == [Item(7, "5", "forum", " as it is\n")]


def test_configured_fields_are_dotted_paths() -> None:
    """Through objects and lists; a literal name with dots goes first."""
    source = SourceSettings(name="web", text="page.parts.1.body", id="page.key")
    row = {"page": {"key": "k", "parts": [{"body": "no"}, {"body": "yes"}]}, "source": "row", "text": "no"}
    assert items(row, source) == [Item(7, "k", "web", "yes")]
    assert find_field({"a.b": 1, "a": {"b": 2}}, "a.b") == 1


def test_the_columns_asked_for_are_the_beginnings_of_all_paths() -> None:
    """So that a columnar reader reads no others."""
    columns = Extractor(ReadSettings(), SourceSettings(text="page.body", id="key"), "x").columns
    assert {"page", "key", "source"} <= columns
    assert "text" not in columns


def test_an_id_that_is_missing_comes_from_the_text() -> None:
    """Equal texts, equal ids; other texts, others."""
    (first,), (same,), (other,) = items({"text": "a"}), items({"text": "a", "id": ""}), items({"text": "b"})
    assert first.id == same.id != other.id
    assert len(first.id) == 24


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "missing_text"),
        ({"title": "x"}, "missing_text"),
        ({"text": None}, "missing_text"),
        ({"text": 5}, "missing_text"),
        ({"text": math.nan}, "missing_text"),
        ({"text": ["x"]}, "missing_text"),
        ({"text": b"x"}, "missing_text"),
        ({"text": ""}, "empty_text"),
        ({"text": " \n\u3000"}, "empty_text"),
        ({"text": "ab"}, "too_short"),
        ({"text": "abcdefg"}, "too_long"),
        ({"text": "ab\ud800c"}, "wrong_encoding"),
        ({"text": "abc", "id": "\udfff"}, "wrong_encoding"),
        ({"text": "abc", "source": "\udfff"}, "wrong_encoding"),
    ],
)
def test_a_row_without_a_usable_text_is_refused(fields: dict[str, Any], expected: str) -> None:
    """With a reason of its own."""
    assert reason(fields, min_characters=3, max_characters=6) == expected


def test_a_refusal_of_the_reader_is_passed_on() -> None:
    """Under the same row."""
    refusal = Refusal("malformed_json", "x")
    assert items(refusal) == [Item(7, "", "notes", "", refusal)]


def test_what_is_missing_is_named_with_what_is_there() -> None:
    """So that a user sees which field to configure."""
    (item,) = items({"act": "Poet", "pro": "x"})
    assert item.refusal is not None
    assert "'act', 'pro'" in item.refusal.detail


CHAT = [
    {"role": "system", "content": "be nice"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "answer"},
    {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "image"}]},
]
LOG = SourceSettings(messages="conversation")


def test_each_user_turn_of_a_chat_log_is_a_text() -> None:
    """Its id ends in the place of the turn."""
    found = items({"id": "c1", "conversation": CHAT}, LOG)
    assert [(item.row, item.id, item.text) for item in found] == [(7, "c1#1", "first"), (7, "c1#3", "second")]


def test_share_gpt_logs_are_understood() -> None:
    """`from` and `value`; without an id the texts give one."""
    turns = [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]
    (item,) = items({"conversation": turns}, LOG)
    assert item.text == "hello"
    assert item.id.endswith("#0")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "x"}, "missing_text"),
        ({"conversation": "x"}, "missing_text"),
        ({"conversation": []}, "no_user_turn"),
        ({"conversation": [{"role": "assistant", "content": "x"}]}, "no_user_turn"),
        ({"conversation": [{"role": "user"}]}, "missing_text"),
        ({"conversation": [{"role": "user", "content": ""}]}, "empty_text"),
        ({"conversation": [None, 3]}, "no_user_turn"),
    ],
)
def test_a_log_without_a_users_text_is_refused(fields: dict[str, Any], expected: str) -> None:
    """One refused row, so that none gets lost."""
    assert reason(fields, LOG) == expected
