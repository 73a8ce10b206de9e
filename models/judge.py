"""The judge: an instruction and its answer become a score from 1 to 5 and feedback (paper 1.7, 3.4).

`request` says what to ask an engine, in the form of Flow Judge's prompt or, for a model tuned to it, as the bare pair;
`read` says what its completion means; both are pure. The judge sees the pair alone, not its document. A completion with
`error` set is the caller's to handle.
"""

import re
from dataclasses import dataclass
from typing import Literal

from models.engine import Completion, Message, Request
from models.grammars import judge_grammar
from models.markup import neutralise
from models.prompts import Prompt
from models.refusals import Refusal
from models.settings import JudgeSettings

JudgeReason = Literal["finish_length", "no_feedback", "no_score"]

_FEEDBACK = re.compile(r"<feedback>(.*?)</feedback>", re.DOTALL)
_SCORE = re.compile(r"<score>\s*([1-5])\s*</score>")


@dataclass(frozen=True)
class Judgement:
    """A score from 1 (irrelevant) to 5 (to the point and complete), and the reasons given for it."""

    score: int
    feedback: str


class Judge:
    """Asks for judgements and reads them, by the given settings."""

    def __init__(self, settings: JudgeSettings) -> None:
        grammar = judge_grammar(settings.max_feedback_characters, settings.score_first)
        self._settings = settings
        self._prompt = Prompt("judge_bare" if settings.prompt == "bare" else "judge_user")
        self._grammar = grammar if settings.constrained else None

    @property
    def prompt_digest(self) -> str:
        """Identity of the prompt in use."""
        return self._prompt.digest

    def request(self, id: str, instruction: str, answer: str) -> Request:
        """What to ask about one pair."""
        text = self._prompt.render(instruction=neutralise(instruction), answer=neutralise(answer))
        return Request(id, (Message("user", text),), self._settings.sampling, self._grammar)

    def read(self, completion: Completion) -> Judgement | Refusal:
        """The judgement in a completion, or which `JudgeReason` speaks against it."""
        if completion.finish_reason == "length":
            return _malformed("finish_length", f"cut off after {completion.output_tokens} tokens")
        feedback = _FEEDBACK.search(completion.text)
        if not feedback or not feedback.group(1).strip():
            return _malformed("no_feedback", f"expected <feedback>...</feedback>, found {completion.text[:200]!r}")
        score = _SCORE.search(completion.text[: feedback.start()] + completion.text[feedback.end() :])
        if not score:
            return _malformed("no_score", f"expected <score>1 to 5</score>, found {completion.text[-80:]!r}")
        return Judgement(int(score.group(1)), feedback.group(1).strip())


def _malformed(reason: JudgeReason, detail: str) -> Refusal:
    return Refusal(reason, detail, malformed=True)
