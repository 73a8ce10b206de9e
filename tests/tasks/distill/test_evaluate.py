"""Figures of a model that answers from a script: what is right, wrong, refused and given up counts as it should."""

import json

import polars as pl
import pytest

from models.engine import Completion, Request
from models.settings import GenericizerSettings, InstantiatorSettings, JudgeSettings
from tasks.distill.evaluate import genericizer_figures, instantiator_figures, judge_figures
from tasks.settings import load_profile
from tasks.tables import GENERICIZER_LABELS, JUDGE_LABELS, PAIR_LABELS
from tests.tasks.scripted_engine import ScriptedEngine, completion

DOCUMENT = "Rye bread keeps for a week. Store it on a board of wood. It dries out in the cold."
QUOTED = "<excerpt>Store it on a board of wood.</excerpt>"
TEMPLATE = "how do i store <fi>food</fi>?"
PAGE = "A page about a kind of food that says how it is stored at home."


def answering(replies: dict[str, str]) -> ScriptedEngine:
    """An engine that gives the reply whose key its prompt holds."""

    def reply(request: Request) -> Completion:
        asked = request.messages[-1].content
        return completion(request, next(text for key, text in replies.items() if key in asked))

    return ScriptedEngine(reply)


def test_an_instantiators_nulls_and_malformed_replies_count_as_wrong() -> None:
    templates = {"right": TEMPLATE, "null": "is <fi>food</fi> cheap?", "malformed": "who eats <fi>food</fi>?"}
    engine = answering(
        {
            templates["right"]: json.dumps({"instruction": "how do i store rye bread?", "answer": QUOTED}),
            templates["null"]: "null",
            templates["malformed"]: '{"instruction": "who',
        }
    )
    rows = [(name, "d", DOCUMENT, text, True, "", QUOTED, None) for name, text in templates.items()]
    rows.append(("incompatible", "d", DOCUMENT, templates["null"], False, None, None, "no price"))
    figures = instantiator_figures(
        pl.DataFrame(rows, PAIR_LABELS, orient="row"), InstantiatorSettings(engine="script", prompt="bare"), engine
    )
    assert (figures.labels, figures.valid, figures.null_share) == (4, 0.75, 0.5)
    assert figures.excerpt_f1 == pytest.approx(1 / 3)
    assert figures.excerpt_f1_answered == 1


def test_a_genericizers_slots_and_description_are_held_against_the_labels() -> None:
    replies = {
        "how do i store rye bread?": {"template": TEMPLATE, "compatible_document_description": PAGE},
        "where is the river Spree?": {"template": "none", "compatible_document_description": PAGE},
    }
    rows = [
        ("q1", "how do i store rye bread?", TEMPLATE, PAGE, None),
        ("q2", "where is the river Spree?", "where is <fi>a river</fi>?", PAGE, None),
    ]
    figures = genericizer_figures(
        pl.DataFrame(rows, GENERICIZER_LABELS, orient="row"),
        GenericizerSettings(engine="script", prompt="bare"),
        answering({query: json.dumps(reply) for query, reply in replies.items()}),
        _embedder(),
    )
    assert (figures.labels, figures.valid, figures.slot_f1) == (2, 0.5, 0.5)
    assert figures.description_cosine == pytest.approx(0.5, abs=1e-4)


def test_a_judge_is_measured_on_what_it_could_say() -> None:
    replies = {
        f"question {score}": f"<feedback>Fine.</feedback>\n<score>{said}</score>"
        for score, said in ((5, 5), (2, 2), (4, 3))
    }
    rows = [(str(score), "d", f"question {score}", "answer", score, "Fine.") for score in (5, 2, 4, 1)]
    engine = answering({**replies, "question 1": "no idea"})
    figures = judge_figures(
        pl.DataFrame(rows, JUDGE_LABELS, orient="row"), JudgeSettings(engine="script", prompt="bare"), engine
    )
    assert (figures.labels, figures.valid) == (4, 0.75)
    assert figures.gate_accuracy == pytest.approx(2 / 3)
    assert 0 < figures.kappa < 1


def test_malformed_replies_are_asked_for_again_as_at_work() -> None:
    """Whoever knows better the second time is measured by that."""
    label = pl.DataFrame([("1", "d", "question", "answer", 4, "Fine.")], JUDGE_LABELS, orient="row")
    query = pl.DataFrame([("q1", "how do i store rye bread?", TEMPLATE, PAGE, None)], GENERICIZER_LABELS, orient="row")
    template = json.dumps({"template": TEMPLATE, "compatible_document_description": PAGE})

    def second(reply: str) -> ScriptedEngine:
        return ScriptedEngine(lambda request: completion(request, reply if request.sampling.seed else "well"))

    for re_asks, valid in ((0, 0), (1, 1)):
        judge = JudgeSettings(engine="script", prompt="bare", re_asks=re_asks)
        judged = judge_figures(label, judge, second("<score>5</score>\n<feedback>Fine.</feedback>"))
        genericizer = GenericizerSettings(engine="script", prompt="bare", re_asks=re_asks)
        made = genericizer_figures(query, genericizer, second(template), _embedder())
        assert judged.valid == made.valid == valid


def _embedder():
    from models.embedder import open_embedder

    return open_embedder(load_profile("tiny").embedder)
