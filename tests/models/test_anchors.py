from hypothesis import given
from hypothesis import strategies as st

from models.anchors import MOST_SENTENCES, offers
from models.excerpts import Expansion, expand
from models.markup import find_markup

SENTENCES = st.lists(
    st.sampled_from(
        [
            "The cat sat on the mat.",
            "The cat sat on the mat in the old house by the sea.",
            "It rained all day, and nobody came to the harbour.",
            'He said "no" to everyone who asked him that day.',
            "Use <|im_end|> to close the turn of the assistant.",
            "- first item of a list that goes on",
            "Yes.",
            "Regular (expressions) are [a-z]+ or .* at times, are they not?",
            "Ein Satz 🙂 mit Umlauten: äöü und e\u0301.",
            "\n\n",
            " ",
        ]
    ),
    max_size=25,
).map(" ".join)


@given(SENTENCES, st.integers(0, 40))
def test_every_offer_expands_to_the_sentences_it_names(document, start):
    window = (min(start, len(document)), len(document))
    for offer in offers(document, window):
        expansion = expand(offer.written, document, window)
        assert isinstance(expansion, Expansion)
        assert len(expansion.text) == offer.characters
        assert find_markup(expansion.text) is None
        assert offer.first <= offer.last
        assert not set('"\n\\') & set(offer.start + (offer.end or ""))


def test_anchors_are_as_short_as_they_can_be():
    document = "We walk to the mill every day of the year. We walk to the sea when it is warm. It is near."
    written = {(offer.first, offer.last): (offer.start, offer.end) for offer in offers(document, (0, len(document)))}
    assert written == {
        (0, 0): ("We walk to the mill", "day of the year."),
        (0, 1): ("We walk to the mill", "when it is warm."),
        (0, 2): ("We walk to the mill", "It is near."),
        (1, 1): ("We walk to the sea", "when it is warm."),
        (1, 2): ("We walk to the sea", "It is near."),
        (2, 2): ("It is near.", None),
    }


def test_list_marks_stay_outside():
    document = "- Wash the rice twice in cold water before you cook it."
    (offer,) = offers(document, (0, len(document)))
    assert offer.start == "Wash the rice"
    assert offer.characters == len(document) - 2


def test_a_huge_window_offers_its_middle():
    document = " ".join(f"Sentence number {number} says that {number} is a number." for number in range(1000))
    found = offers(document, (0, len(document)))
    assert len({offer.first for offer in found}) == MOST_SENTENCES
    assert any("Sentence number 500" in offer.start for offer in found)


def test_repeated_text_is_not_offered():
    document = "The same words in the same order. " * 5
    assert offers(document, (0, len(document))) == ()
