"""Exact and near-duplicates, the first stays."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates import Duplicate, DuplicateIndex, jaccard, normalise, shingle

LONG = "What are the biggest culture shocks that people face when they come to {}?"


def test_case_punctuation_and_whitespace_make_no_difference() -> None:
    """The kept row is named."""
    texts = ["What is  love?", "what is love", "WHAT, is love!", "what is hate"]
    exact = Duplicate("exact_duplicate", "a")
    assert DuplicateIndex(0.85).find("abcd", texts) == [None, exact, exact, None]


def test_texts_without_words_are_compared_as_they_are() -> None:
    """So that an emoji is no duplicate of a question mark."""
    assert DuplicateIndex(0.85).find("abc", ["???", "🙂", "??? "]) == [None, None, Duplicate("exact_duplicate", "a")]


def test_a_small_difference_makes_a_near_duplicate() -> None:
    """Of short queries too; a different subject does not."""
    texts = [LONG.format("England"), LONG.format("Brazil"), "fancy chapter heading", "fancy chapter headings"]
    near = [None, Duplicate("near_duplicate", "a"), None, Duplicate("near_duplicate", "c")]
    assert DuplicateIndex(0.8).find("abcd", texts) == near
    others = ["who is the king", "who is the duke", "sum of squares", "cats"]
    assert DuplicateIndex(0.8).find("abcd", others) == [None] * 4


def test_only_kept_texts_are_compared_with() -> None:
    """A chain of small steps does not swallow everything: the third resembles the second, which is gone."""
    base = "abcdefghijklmnopqrstuvwxyz0123456789"
    second, third = base.replace("abc", "xyz"), base.replace("abc", "xyz").replace("789", "xyz")
    assert jaccard(shingle(second), shingle(third)) > 0.75 > jaccard(shingle(base), shingle(third))
    assert DuplicateIndex(0.75).find("abc", [base, second, third]) == [None, Duplicate("near_duplicate", "a"), None]


def test_earlier_texts_stay_and_are_named() -> None:
    """As those of an earlier release do."""
    index = DuplicateIndex(0.85)
    index.find(["old"], ["what is love?"])
    assert index.find(["new"], ["What is love"]) == [Duplicate("exact_duplicate", "old")]


def test_an_index_remembers_between_calls() -> None:
    """Shard by shard gives what all at once gives."""
    texts = [LONG.format(place) for place in ("England", "Brazil", "a small village in the north of Norway")] * 2
    ids = [str(number) for number in range(len(texts))]
    index = DuplicateIndex(0.8)
    parts = [
        found for start in range(0, 6, 2) for found in index.find(ids[start : start + 2], texts[start : start + 2])
    ]
    assert parts == DuplicateIndex(0.8).find(ids, texts)
    assert len(index) == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab ?", max_size=12), max_size=12), st.sampled_from([0.1, 0.4, 0.8, 1.0]))
def test_what_is_removed_is_as_similar_as_it_must_be(texts: list[str], similarity: float) -> None:
    """To a kept text before it; kept texts are all different."""
    ids = [str(number) for number in range(len(texts))]
    found = DuplicateIndex(similarity).find(ids, texts)
    kept = [normalise(text) for text, duplicate in zip(texts, found, strict=True) if duplicate is None]
    assert len(kept) == len(set(kept))
    for number, duplicate in enumerate(found):
        if duplicate is not None:
            original = int(duplicate.kept)
            assert found[original] is None
            assert original < number
            assert jaccard(shingle(normalise(texts[original])), shingle(normalise(texts[number]))) >= similarity
