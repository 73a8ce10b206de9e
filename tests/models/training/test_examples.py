"""Examples carry what production sends and what its grammar accepts; other labels are refused."""

import json
from typing import Literal

import pytest

from models.genericizer import Generic
from models.judge import Judgement
from models.refusals import Refusal
from models.settings import GenericizerSettings, InstantiatorSettings, JudgeSettings
from models.training.examples import Example, PairLabel, genericizer_example, judge_example, pair_example

SETTINGS = InstantiatorSettings(engine="tiny", prompt="bare")
DOCUMENT = (
    "Bread at home. Rye bread keeps for a week. Store it cut side down on a wooden board, never in the fridge, where "
    "it dries out. White bread is different: it is best on the first day. Freeze what you cannot eat within two days. "
    "Toast it straight from the freezer, without thawing it first."
)
TEMPLATE = "how do i store <fi>kind of food</fi>?"


def pair(answer: str, instruction: str = "how do i store rye bread?") -> Example | Refusal:
    return pair_example("p1", PairLabel(TEMPLATE, DOCUMENT, instruction, answer), SETTINGS)


def written(answer: str) -> str:
    example = pair(answer)
    assert isinstance(example, Example), example
    return str(json.loads(example.completion)["answer"])


def test_an_excerpt_on_offer_is_written_as_the_grammar_writes_it() -> None:
    assert written("On wood: <excerpt>Store it cut side down on a<...>dries out.</excerpt>") == (
        "On wood: <excerpt>Store it cut<...>where it dries out.</excerpt>"
    )


def test_an_excerpt_within_a_sentence_becomes_the_sentence_and_loses_a_lead_it_does_not_continue() -> None:
    widened = "<excerpt>Store it cut<...>where it dries out.</excerpt>"
    assert written("Keep it <excerpt>on a wooden board</excerpt>.") == widened
    assert written("On wood. <excerpt>on a wooden board</excerpt>") == f"On wood. {widened}"
    assert written("<excerpt>on a wooden board</excerpt> but <excerpt>never in the fridge</excerpt>") == widened


def test_excerpts_come_in_the_order_of_the_document() -> None:
    freeze = "<excerpt>Freeze what you<...>eat within two days.</excerpt>"
    assert written(f"{freeze} <excerpt>Rye bread keeps for a week.</excerpt>").endswith(
        f"for a week.</excerpt> {freeze}"
    )


@pytest.mark.parametrize(
    ("reason", "answer"),
    [
        ("no_excerpt", "Store it on a wooden board."),
        ("anchor_missing", "<excerpt>Store it in a bag.</excerpt>"),
        ("text_between_excerpts", "<excerpt>Rye bread keeps for a week.</excerpt>" + " and so on" * 5),
    ],
)
def test_what_cannot_be_said_in_the_grammar_is_refused(reason: str, answer: str) -> None:
    refusal = pair(answer)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


def test_a_label_of_another_template_or_with_a_long_value_is_refused() -> None:
    quoted = "<excerpt>Rye bread keeps for a week.</excerpt>"
    for instruction, reason in (
        ("where do i store rye bread?", "instruction_not_from_template"),
        (f"how do i store {'rye ' * 20}bread?", "not_in_grammar"),
    ):
        refusal = pair(quoted, instruction)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == reason


def test_null_is_an_example_whose_first_token_decides() -> None:
    example = pair_example("p1", PairLabel(TEMPLATE, DOCUMENT), SETTINGS)
    assert isinstance(example, Example)
    assert (example.completion, example.decisive) == ("null", (0, 4))


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [
        ("flow-judge", "<feedback>To the point.</feedback>\n<score>4</score>"),
        ("bare", "<score>4</score>\n<feedback>To the point.</feedback>"),
    ],
)
def test_a_judgement_decides_with_its_score(prompt: Literal["flow-judge", "bare"], completion: str) -> None:
    settings = JudgeSettings(engine="tiny", prompt=prompt)
    example = judge_example("j1", ("a?", "b"), Judgement(4, "To the\npoint."), settings)
    assert isinstance(example, Example)
    assert example.completion == completion
    assert example.completion[slice(*example.decisive)] == "4"


def test_a_template_that_gives_its_query_away_is_no_example() -> None:
    label = Generic(
        "how big is <fi>Paris or another city</fi>", "A page about a city that says how many people live there."
    )
    refusal = genericizer_example("q1", "how big is Paris", label, GenericizerSettings(engine="tiny"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "slot_leaks_entity"


def test_the_template_decides_and_not_its_description() -> None:
    label = Generic("how big is <fi>city</fi>", "A page about a city that says how many people live there.")
    example = genericizer_example("q1", "how big is Paris", label, GenericizerSettings(engine="tiny"))
    assert isinstance(example, Example)
    assert example.completion[slice(*example.decisive)] == '{"template": "how big is <fi>city</fi>"'
