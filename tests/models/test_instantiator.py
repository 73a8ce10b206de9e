import json

import pytest

from models.engine import Completion, Request
from models.instantiator import Instantiated, Instantiator
from models.refusals import Refusal
from models.settings import InstantiatorSettings
from models.templates import TemplateError

TEMPLATE = "how do i store <fi>kind of food</fi>?"
DOCUMENT = (
    "Bread at home. Rye bread keeps for a week. Store it cut side down on a wooden board, and never in the fridge, "
    "where it dries out. The token <|im_end|> closes a turn of the chat. See above. See above."
)
WHOLE = (0, len(DOCUMENT))
ANSWER = "<excerpt>Store it cut<...>it dries out.</excerpt>"


def instantiator(**settings):
    return Instantiator(InstantiatorSettings(engine="tiny", **settings))


def reply(instruction="how do i store rye bread?", answer=ANSWER, key="instruction"):
    return Completion("m1", json.dumps({key: instruction, "answer": answer}), "stop")


def read(completion, **settings):
    return instantiator(**settings).read(TEMPLATE, DOCUMENT, WHOLE, completion)


def test_a_grounded_pair_is_read_with_its_spans():
    pair = read(reply(answer=f"On a board. {ANSWER}"))
    assert isinstance(pair, Instantiated)
    assert (pair.instruction, pair.slots) == ("how do i store rye bread?", ("rye bread",))
    (excerpt,) = pair.excerpts
    quoted = DOCUMENT[excerpt.document_start : excerpt.document_end]
    assert pair.answer == f"On a board. {quoted}"
    assert pair.answer[excerpt.answer_start : excerpt.answer_end] == quoted
    assert pair.excerpt_share == len(quoted) / len(pair.answer)


def test_excerpts_in_a_slot_are_expanded():
    pair = read(reply(instruction="how do i store <excerpt>Rye bread</excerpt>?"))
    assert isinstance(pair, Instantiated)
    assert pair.slots == ("Rye bread",)


def test_the_paper_layout_has_its_own_key_and_message():
    completion = reply(key="instantiated_instruction")
    assert isinstance(read(completion, layout="paper"), Instantiated)
    assert isinstance(read(completion), Refusal)
    request = instantiator(layout="paper").request("m1", TEMPLATE, "Rye bread keeps for a whole week.", (0, 33))
    assert isinstance(request, Request)
    (message,) = request.messages
    expected = {"instruction_template": TEMPLATE, "document": "Rye bread keeps for a whole week."}
    assert message.content == json.dumps(expected, indent=2)


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (Completion("m1", "{", "length"), "finish_length"),
        (Completion("m1", "{", "stop"), "not_json"),
        (reply(answer=["x"]), "not_json"),
        (reply(answer=f"{ANSWER}<|im_end|>"), "leaked_markup"),
        (reply(answer=f"{ANSWER}</fi>"), "leaked_markup"),
        (reply(answer=f"{ANSWER}</excerpt>"), "leaked_markup"),
        (reply(answer="<excerpt>The token<...>of the chat.</excerpt>"), "leaked_markup"),
        (reply(instruction="how do i store <excerpt>The token<...>the chat.</excerpt>?"), "leaked_markup"),
        (reply(instruction=TEMPLATE), "unresolved_slot"),
        (reply(instruction="how do i store Kind of food?"), "unresolved_slot"),
        (reply(instruction="how do you store rye bread?"), "instruction_not_from_template"),
        (reply(instruction="how do i store ?"), "instruction_not_from_template"),
        (reply(answer="<excerpt>Store it badly<...>dries out.</excerpt>"), "anchor_missing"),
        (reply(answer="<excerpt>See above.</excerpt>"), "anchor_ambiguous"),
        (reply(answer=f"{ANSWER} {ANSWER}"), "repeated_excerpt"),
        (reply(answer=f"{ANSWER} <excerpt>never in the fridge</excerpt>"), "repeated_excerpt"),
    ],
)
def test_malformed_replies_are_refused_and_worth_a_re_ask(completion, reason):
    refusal = read(completion)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == (reason, True)


@pytest.mark.parametrize(
    ("completion", "settings", "reason"),
    [
        (Completion("m1", "null", "stop"), {}, "null"),
        (
            reply(answer="Nobody really knows that. <excerpt>Rye bread keeps for a week.</excerpt>"),
            {},
            "excerpt_share_low",
        ),
        (reply(answer="an answer without any excerpt"), {}, "excerpt_share_low"),
        (reply(answer="<excerpt>Rye bread</excerpt>"), {}, "too_short"),
        (reply(), {"max_answer_characters": 50}, "too_long"),
    ],
)
def test_well_formed_replies_can_be_refused_for_good(completion, settings, reason):
    refusal = read(completion, **settings)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == (reason, False)


def test_no_two_slots_have_the_same_value():
    """Also where they ask for the same kind of thing."""
    template = "is <fi>food</fi> better than <fi>other food</fi>, or no <fi>food</fi>"

    def pair(*values):
        return instantiator().read(template, DOCUMENT, WHOLE, reply("is {} better than {}, or no {}".format(*values)))

    assert isinstance(pair("rye", "bread", "wheat"), Instantiated)
    for values in (("Rye", "rye", "bread"), ("rye", "bread", "rye")):
        refusal = pair(*values)
        assert isinstance(refusal, Refusal)
        assert (refusal.reason, refusal.malformed) == ("repeated_slot", True)


def test_requests_of_one_document_share_all_but_the_template():
    templates = ("what about <fi>food</fi>", "what about <fi>kind of bread</fi>")
    first, second = (instantiator().request("m1", template, DOCUMENT, WHOLE) for template in templates)
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    assert first.messages[0] == second.messages[0]
    shared = first.messages[1].content.partition("what about")[0]
    assert second.messages[1].content.startswith(shared)
    assert len(shared) > len(DOCUMENT)


def test_the_model_sees_the_window_without_markup():
    request = instantiator().request("m1", TEMPLATE, DOCUMENT, (15, len(DOCUMENT)))
    assert isinstance(request, Request)
    content = request.messages[1].content
    assert "‹|im_end|>" in content
    assert "<|im_end|>" not in content
    assert "Bread at home" not in content
    assert TEMPLATE in content


@pytest.mark.parametrize(
    ("template", "document", "reason"),
    [
        ("how do i store bread", DOCUMENT, "no_slot"),
        ("how [INST] <fi>food</fi>", DOCUMENT, "nested_markup"),
        (TEMPLATE, "", "no_anchor"),
        (TEMPLATE, "One two. " * 9, "no_anchor"),
    ],
)
def test_what_can_give_no_pair_is_not_asked_about(template, document, reason):
    refusal = instantiator().request("m1", template, document, (0, len(document)))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == (reason, False)


def test_reading_with_something_that_is_no_template_is_an_error():
    with pytest.raises(TemplateError):
        instantiator().read("no slot", DOCUMENT, WHOLE, reply())


def test_a_slot_that_breaks_off_is_asked_for_again():
    refusal = read(reply(instruction="how do i store bread on The?"), slot_endings=("of", "THE"))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == ("unfinished_slot", True)
    comma = read(reply(instruction="how do i store bread,?"), slot_endings=(",",))
    assert isinstance(comma, Refusal)
    assert comma.reason == "unfinished_slot"
    assert isinstance(read(reply(instruction="how do i store pizza?"), slot_endings=("a",)), Instantiated)
