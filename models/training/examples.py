"""Examples to train on: the messages that production sends, and the completion it should get (paper 1.2, 1.6, 1.7).

Messages come from the production classes themselves, so that a tuned model is asked as it was taught. A completion has
passed the same gates as a model's in production: its grammar accepts it and its reader reads it. A label that fails is
a `Refusal`, never an example.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from models.engine import Completion, Message, Request
from models.genericizer import Generic, Genericizer
from models.grammar_check import allows
from models.instantiator import NULL, Instantiator
from models.judge import Judge, Judgement
from models.refusals import Refusal
from models.sentences import Span
from models.settings import GenericizerSettings, InstantiatorSettings, JudgeSettings
from models.training.canonical import canonical_judgement, canonical_pairs, canonical_template

GENERICIZER_WEIGHTS = (0.3, 1.5)
PAIR_WEIGHTS = (2.0, 10.0)
JUDGE_WEIGHTS = (0.5, 10.0)
"""Of a token outside and inside the decisive part: a pair has few tokens, a description many, a score one."""


@dataclass(frozen=True)
class PairLabel:
    """A document and a template; `instruction` and `answer`, with excerpt markup, are None where they do not fit."""

    template: str
    document: str
    instruction: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Example:
    """One request and its completion.

    `decisive` is the (start, end) characters of the completion that matter most: null or a pair, the score,
    the template. `weights` are those of a token outside and inside. Examples of a `group` share much of their prompt.
    """

    id: str
    group: str
    messages: tuple[Message, ...]
    completion: str
    decisive: Span = (0, 0)
    weights: tuple[float, float] = (1.0, 1.0)


def genericizer_example(id: str, query: str, label: Generic, settings: GenericizerSettings) -> Example | Refusal:
    """An example of a query and its template."""
    genericizer = _genericizer(settings)
    request = genericizer.request(id, query)
    if isinstance(request, Refusal):
        return request
    completion = canonical_template(label.template, label.description)
    refusal = _refusal(request, completion, lambda reply: genericizer.read(query, reply))
    template = len(json.dumps({"template": label.template}, ensure_ascii=False)) - 1
    return refusal or Example(id, id, request.messages, completion, (0, template), GENERICIZER_WEIGHTS)


def pair_example(id: str, label: PairLabel, settings: InstantiatorSettings) -> Example | Refusal:
    """An example of a document, shown whole, and a template that it fits or does not fit."""
    # Whoever only fills slots at work learns answers too: without them it learnt to fill slots no better.
    instantiator = _instantiator(settings.model_copy(update={"answers": "written"}))
    window = (0, len(label.document))
    request = instantiator.request(id, label.template, label.document, window)
    if isinstance(request, Refusal):
        return request
    if label.instruction is None or label.answer is None:
        return Example(id, label.document, request.messages, NULL, (0, len(NULL)), PAIR_WEIGHTS)
    refusal = None
    for completion in canonical_pairs(label.template, label.instruction, label.answer, label.document, settings.layout):
        if isinstance(completion, Refusal):
            return completion
        refusal = _refusal(
            request, completion, lambda reply: instantiator.read(label.template, label.document, window, reply)
        )
        if refusal is None:
            return Example(id, label.document, request.messages, completion, (0, 1), PAIR_WEIGHTS)
    return refusal or Refusal("not_in_grammar")


def judge_example(id: str, pair: tuple[str, str], label: Judgement, settings: JudgeSettings) -> Example | Refusal:
    """An example of a pair (instruction, answer) and what is thought of it."""
    judge = _judge(settings)
    request = judge.request(id, *pair)
    completion = canonical_judgement(label.score, label.feedback, settings.score_first)
    score = completion.rindex("<score>") + len("<score>")
    refusal = _refusal(request, completion, judge.read)
    return refusal or Example(id, pair[0], request.messages, completion, (score, score + 1), JUDGE_WEIGHTS)


def _refusal(request: Request, completion: str, read: Callable[[Completion], object]) -> Refusal | None:
    """What speaks against a completion in production, if anything."""
    value = read(Completion(request.id, completion, "stop"))
    if isinstance(value, Refusal):
        return value
    if request.grammar is not None and not allows(request.grammar, completion):
        return Refusal("not_in_grammar", f"the grammar does not allow {completion[:300]!r}")
    return None


@lru_cache(maxsize=4)
def _genericizer(settings: GenericizerSettings) -> Genericizer:
    return Genericizer(settings)


@lru_cache(maxsize=4)
def _instantiator(settings: InstantiatorSettings) -> Instantiator:
    return Instantiator(settings)


@lru_cache(maxsize=4)
def _judge(settings: JudgeSettings) -> Judge:
    return Judge(settings)
