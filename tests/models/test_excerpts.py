import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.excerpts import Expansion, expand
from models.markup import EXCERPT_TAGS
from models.refusals import Refusal

RELATIVITY = "It is known that no preferred inertial frame exists according to the principle of relativity"
DOCUMENT = f"{RELATIVITY}\n\nNext. $5 (a|b)* 🙂é."
NASTY = st.lists(
    st.sampled_from(
        [".*", "(", "\\", "🙂", "é", "\u0301", " ", "\n", "a", "b", "</", "<", ">", "[INST]", "<fi>", "?", '"']
    )
).map("".join)


def whole(document):
    return 0, len(document)


def test_the_papers_example_expands():
    expansion = expand(
        "<excerpt>It is known that<...>the principle of relativity.</excerpt>", DOCUMENT, whole(DOCUMENT)
    )
    assert isinstance(expansion, Expansion)
    assert expansion.text == RELATIVITY
    assert expansion.share == 1


@given(NASTY, NASTY, NASTY, st.text(max_size=20))
def test_an_excerpt_that_names_one_place_expands_to_the_documents_own_text(before, quoted, after, lead):
    quoted = quoted.strip()
    document = f"{before} {quoted} {after}"
    assume(quoted and " ".join(document.split()).count(" ".join(quoted.split())) == 1)
    assume(not EXCERPT_TAGS.search(lead + quoted))
    expansion = expand(f"{lead}<excerpt>{quoted}</excerpt>", document, whole(document))
    assume(not isinstance(expansion, Refusal) or expansion.reason != "anchor_ambiguous")
    assert isinstance(expansion, Expansion)
    (excerpt,) = expansion.excerpts
    assert document[excerpt.document_start : excerpt.document_end] == quoted
    assert expansion.text[excerpt.answer_start : excerpt.answer_end] == quoted


@given(st.text(max_size=200), st.text("abc <>./excerpt", max_size=60))
def test_whatever_expands_has_true_coordinates(document, answer):
    expansion = expand(answer, document, whole(document))
    if isinstance(expansion, Expansion):
        assert not EXCERPT_TAGS.search(answer) or expansion.excerpts
        assert 0 <= expansion.share <= 1
        for excerpt in expansion.excerpts:
            quoted = document[excerpt.document_start : excerpt.document_end]
            assert expansion.text[excerpt.answer_start : excerpt.answer_end] == quoted != ""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Yes. <excerpt>no preferred<...>frame exists</excerpt>!", "Yes. no preferred inertial frame exists!"),
        ("<excerpt>of relativity Next.</excerpt>", "of relativity\n\nNext."),
        ("<excerpt>$5 (a|b)*</excerpt>", "$5 (a|b)*"),
        ("<excerpt> no  preferred\n<...> inertial </excerpt>", "no preferred inertial"),
        ("no excerpt at all ", "no excerpt at all"),
    ],
)
def test_both_forms_expand(answer, expected):
    expansion = expand(answer, DOCUMENT, whole(DOCUMENT))
    assert isinstance(expansion, Expansion)
    assert expansion.text == expected


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("<excerpt>It is unknown<...>relativity</excerpt>", "anchor_missing"),
        ("<excerpt>It is known<...>quantum</excerpt>", "anchor_missing"),
        ("<excerpt>principle of<...>It is known</excerpt>", "anchor_missing"),
        ("<excerpt></excerpt>", "anchor_missing"),
        ("<excerpt>...<...>relativity</excerpt>", "anchor_missing"),
        ("<excerpt>t<...>relativity</excerpt>", "anchor_ambiguous"),
        ("<excerpt>It is known", "leaked_markup"),
        ("It is known</excerpt>", "leaked_markup"),
        ("a <...> b", "leaked_markup"),
        ("<excerpt>It <excerpt>is</excerpt> known</excerpt>", "leaked_markup"),
        ("<excerpt>It<...>is<...>known</excerpt>", "leaked_markup"),
    ],
)
def test_what_names_no_single_place_is_refused(answer, reason):
    refusal = expand(answer, DOCUMENT, whole(DOCUMENT))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == (reason, True)


def test_the_end_is_the_first_occurrence_after_the_start():
    document = "end. Start here, then end. And again end."
    expansion = expand("<excerpt>Start here<...>end.</excerpt>", document, whole(document))
    assert isinstance(expansion, Expansion)
    assert expansion.text == "Start here, then end."


def test_only_the_window_counts_and_coordinates_are_the_documents():
    document = "Same words here. Same words here, once more."
    window = (17, len(document))
    expansion = expand("<excerpt>Same words</excerpt>", document, window)
    assert isinstance(expansion, Expansion)
    assert expansion.excerpts[0].document_start == 17
    assert isinstance(expand("<excerpt>Same words</excerpt>", document, whole(document)), Refusal)
