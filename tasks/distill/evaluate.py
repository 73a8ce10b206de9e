"""What the tuned causal models are worth: production's requests, answered by an engine, held against labels.

Base and tuned model run the same way, with the same prompts and constraints, and are asked again as often as at work.
A reply that passes no gate counts as wrong, never as missing; but a judge's has no score that could be right or wrong,
and only lowers the share of valid ones. Not covered: the embedder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl

from models.asking import ask
from models.embedder import Embedder
from models.engine import Completion, Engine, Request
from models.genericizer import Generic, Genericizer
from models.instantiator import ABSTAINED, Instantiated, Instantiator
from models.judge import Judge
from models.refusals import Refusal
from models.settings import GenericizerSettings, InstantiatorSettings, JudgeSettings
from models.training.measures import agreement, document_words, excerpt_words, f1, slot_words

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class GenericizerFigures:
    """Of `labels` queries: share of valid templates; means of slot F1 and description cosine, 0 for invalid ones."""

    labels: int
    valid: float
    slot_f1: float
    description_cosine: float


@dataclass(frozen=True)
class InstantiatorFigures:
    """Of `labels` pairs: share of valid replies, and of those that give up (`ABSTAINED`), which are valid as well.

    Of the compatible ones, `excerpt_f1`: mean, 0 for those given up and invalid replies; `excerpt_f1_answered`: mean of
    those that are pairs.
    """

    labels: int
    valid: float
    null_share: float
    excerpt_f1: float
    excerpt_f1_answered: float


@dataclass(frozen=True)
class JudgeFigures:
    """Of `labels` judgements: share of valid ones, and of these quadratic weighted kappa and accuracy of the gate.

    The latter two are not numbers when none is valid.
    """

    labels: int
    valid: float
    kappa: float
    gate_accuracy: float


def answers(
    engine: Engine,
    requests: Sequence[Request | Refusal],
    read: Callable[[int, Completion], ValueT | Refusal],
    re_asks: int = 0,
) -> list[ValueT | Refusal]:
    """What became of each request, in order; a malformed reply is asked for again up to `re_asks` times.

    Raises:
        TransientError: the engine is gone.
    """
    results: list[ValueT | Refusal] = [
        request if isinstance(request, Refusal) else Refusal("unasked") for request in requests
    ]
    asked = (replace(request, id=str(place)) for place, request in enumerate(requests) if isinstance(request, Request))
    for answer in ask(engine, asked, lambda completion: read(int(completion.id), completion), re_asks):
        results[int(answer.id)] = answer.value
    return results


def genericizer_figures(
    labels: pl.DataFrame, settings: GenericizerSettings, engine: Engine, embedder: Embedder
) -> GenericizerFigures:
    """Of `GENERICIZER_LABELS` with a template; `embedder` compares descriptions."""
    genericizer = Genericizer(settings)
    queries = labels["query"].to_list()
    requests = [genericizer.request(id, query) for id, query in labels.select("query_id", "query").iter_rows()]
    found = answers(engine, requests, lambda place, reply: genericizer.read(queries[place], reply), settings.re_asks)
    valid = [(place, generic) for place, generic in enumerate(found) if isinstance(generic, Generic)]
    slots = [
        f1(slot_words(generic.template, queries[place]), slot_words(labels["template"][place], queries[place]))
        for place, generic in valid
    ]
    told = embedder.embed_texts([generic.description for _, generic in valid])
    wanted = embedder.embed_texts([labels["compatible_document_description"][place] for place, _ in valid])
    return GenericizerFigures(
        labels=len(labels),
        valid=len(valid) / len(labels),
        slot_f1=sum(slots) / len(labels),
        description_cosine=float(np.einsum("nd,nd->", told, wanted)) / len(labels),
    )


def instantiator_figures(labels: pl.DataFrame, settings: InstantiatorSettings, engine: Engine) -> InstantiatorFigures:
    """Of `PAIR_LABELS`; `settings` hold the margin at which the model gives up."""
    instantiator = Instantiator(settings)
    rows = labels.select("pair_id", "template", "document", "answer").rows()
    windows = [(0, len(document)) for _, _, document, _ in rows]
    requests = [
        instantiator.request(id, template, document, window)
        for (id, template, document, _), window in zip(rows, windows, strict=True)
    ]

    def read(place: int, reply: Completion) -> Instantiated | Refusal:
        _, template, document, _ = rows[place]
        return instantiator.read(template, document, windows[place], reply)

    found = answers(engine, requests, read, settings.re_asks)
    null = [isinstance(pair, Refusal) and pair.reason in ABSTAINED for pair in found]
    pairs = [isinstance(pair, Instantiated) for pair in found]
    scores = [
        (_quoted_f1(pair, document, answer), isinstance(pair, Instantiated))
        for (_, _, document, answer), pair, compatible in zip(rows, found, labels["compatible"], strict=True)
        if compatible
    ]
    answered = [score for score, is_pair in scores if is_pair]
    return InstantiatorFigures(
        labels=len(labels),
        valid=(sum(null) + sum(pairs)) / len(labels),
        null_share=sum(null) / len(labels),
        excerpt_f1=_mean([score for score, _ in scores]),
        excerpt_f1_answered=_mean(answered),
    )


def judge_figures(labels: pl.DataFrame, settings: JudgeSettings, engine: Engine) -> JudgeFigures:
    """Of `JUDGE_LABELS`."""
    judge = Judge(settings)
    rows = labels.select("judgement_id", "instruction", "answer").rows()
    requests = [judge.request(*row) for row in rows]
    found = answers(engine, requests, lambda _, reply: judge.read(reply), settings.re_asks)
    valid = [
        (judgement.score, score)
        for judgement, score in zip(found, labels["score"], strict=True)
        if not isinstance(judgement, Refusal)
    ]
    kappa, gate = agreement([score for score, _ in valid], [wanted for _, wanted in valid])
    return JudgeFigures(len(labels), len(valid) / len(labels), kappa, gate)


def _quoted_f1(pair: Instantiated | Refusal, document: str, answer: str) -> float:
    if isinstance(pair, Refusal):
        return 0.0
    quoted = document_words(document, [(excerpt.document_start, excerpt.document_end) for excerpt in pair.excerpts])
    return f1(quoted, excerpt_words(answer, document))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
