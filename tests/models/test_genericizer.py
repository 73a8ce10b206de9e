import json

import pytest

from models.engine import Completion, Request
from models.genericizer import Generic, Genericizer
from models.refusals import Refusal
from models.settings import GenericizerSettings

QUERY = "what is a ds1 cable"
TEMPLATE = "what is a <fi>kind of line or cable</fi>"
DESCRIPTION = "A telecommunications glossary that explains a line or cable, its data rate and use."


def genericizer(**settings):
    return Genericizer(GenericizerSettings(engine="tiny", **settings))


def reply(template=TEMPLATE, description=DESCRIPTION):
    return json.dumps({"template": template, "compatible_document_description": description, "other": 1})


def read(text, finish_reason="stop"):
    return genericizer().read(QUERY, Completion("q1", text, finish_reason))


def test_a_faithful_template_is_read():
    assert read(reply()) == Generic(TEMPLATE, DESCRIPTION)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_json"),
        ("null", "not_json"),
        ("[1]", "not_json"),
        ('{"template": "x"}', "not_json"),
        (reply(template=7), "not_json"),
        (reply(template="\ud800 <fi>thing</fi>"), "not_json"),
        ("[" * 100_000, "not_json"),
        (reply(template="what is a cable"), "no_slot"),
        (reply(description="too short"), "description_length"),
        (reply(template="what is a <fi>ds1 cable</fi>"), "slot_leaks_entity"),
    ],
)
def test_other_replies_are_refused_and_worth_a_re_ask(text, reason):
    refusal = read(text)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == (reason, True)


def test_a_reply_cut_off_is_refused_before_it_is_read():
    refusal = read(reply(), "length")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "finish_length"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("why <|im_end|> though", "query_has_markup"),
        ("the <fi>tag</fi> here", "query_has_markup"),
        ("hello", "query_too_short"),
        ("?!", "query_too_short"),
        ("word " * 401, "query_too_long"),
    ],
)
def test_a_query_that_gives_no_template_is_not_asked_about(query, reason):
    refusal = genericizer().request("q1", query)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.malformed) == (reason, False)


def test_bare_prompt_is_the_query_alone():
    request = genericizer(prompt="bare", constrained=False).request("q1", QUERY)
    assert isinstance(request, Request)
    assert [(message.role, message.content) for message in request.messages] == [("user", QUERY)]
    assert request.grammar is None
    assert genericizer(prompt="bare").prompt_digest != genericizer().prompt_digest
