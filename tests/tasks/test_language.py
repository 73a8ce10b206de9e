"""Queries in an allowed language stay, short and full of names as they are."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import UsageError
from tasks.language import LanguageFilter

FOREIGN = (
    "wie lange muss man eier kochen",
    "was ist die hauptstadt von frankreich",
    "wetter morgen hamburg",
    "cuál es la capital de francia",
    "mejores playas de mexico",
    "diferencia entre ser y estar",
    "法国的首都是哪里",
    "北京明天天气",
    "comment faire une tarte aux pommes",
    "как приготовить борщ",
    "東京の天気",
)


@pytest.fixture(scope="module")
def english() -> Iterator[LanguageFilter]:
    """The filter as the profiles have it."""
    language = LanguageFilter(("en",), 0.1)
    yield language
    language.close()


def test_other_languages_are_refused(english: LanguageFilter) -> None:
    """With the likeliest one named."""
    found = english(FOREIGN)
    assert [refusal and refusal.reason for refusal in found] == ["language"] * len(FOREIGN)
    assert "german" in (found[0].detail if found[0] else "")


def test_real_english_queries_are_rarely_lost(english: LanguageFilter, shared: Path) -> None:
    """Under one in a hundred of those of a search engine, which have least grammar."""
    lines = (shared / "data/queries/msmarco.jsonl").read_text().splitlines()[:1000]
    found = english([json.loads(line)["text"] for line in lines])
    assert sum(refusal is not None for refusal in found) < 10


def test_several_languages_may_be_allowed() -> None:
    """Also one that is not among the common ones."""
    language = LanguageFilter(("de", "da"), 0.3)
    found = language(
        [FOREIGN[0], "hvordan laver man en god kop kaffe", "how do i change the password of my work account"]
    )
    assert [refusal is None for refusal in found] == [True, True, False]


def test_an_unknown_code_is_an_error() -> None:
    """Before anything is read."""
    with pytest.raises(UsageError, match="'xx'"):
        LanguageFilter(("xx",), 0.1)
