"""Ask an engine many questions, read the answers, and ask the malformed ones again.

First every request once; then, for at most `re_asks` rounds, those whose completion was malformed, with another seed
and a temperature that lets the seed matter. Every request gives exactly one answer. Only the requests in flight and
those to be asked again are held. An engine's own failures are not asked again here: engines retry what may pass.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from models.engine import Completion, Engine, Request
from models.refusals import Refusal

ValueT = TypeVar("ValueT")

RE_ASK_TEMPERATURE = 0.7
"""The least temperature of a repeated question; at 0 it would have the same answer."""


@dataclass(frozen=True)
class Answer(Generic[ValueT]):
    """What became of a request: a value, or why there is none. Tokens are those of all attempts together."""

    id: str
    value: ValueT | Refusal
    completion: Completion
    attempts: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int

    @property
    def failed(self) -> bool:
        """The engine gave no completion; otherwise a refusal means that the completion passed no gate."""
        return self.completion.error is not None


def ask(
    engine: Engine,
    requests: Iterable[Request],
    read: Callable[[Completion], ValueT | Refusal],
    re_asks: int = 0,
) -> Iterator[Answer[ValueT]]:
    """Yield one answer per request, as they become final.

    Args:
        engine: Who answers.
        requests: Consumed lazily; no two in flight may share an id.
        read: Completion to value, or to the refusal that says what is wrong with it.
        re_asks: How often a malformed completion is asked for again.

    Raises:
        TransientError: the engine is gone.
        ValueError: two requests in flight have the same id.
    """
    attempt = _Attempt[ValueT](engine, read, number=1)
    yield from attempt.answers(requests, last=re_asks == 0)
    for number in range(2, re_asks + 2):
        if not attempt.malformed:
            return
        before = {answer.id: answer for _, answer in attempt.malformed}
        again = [_asked_again(request) for request, _ in attempt.malformed]
        attempt = _Attempt[ValueT](engine, read, number)
        yield from attempt.answers(again, last=number == re_asks + 1, before=before)


class _Attempt(Generic[ValueT]):
    """One round; afterwards `malformed` holds what is to be asked again."""

    def __init__(self, engine: Engine, read: Callable[[Completion], ValueT | Refusal], number: int) -> None:
        self._engine = engine
        self._read = read
        self._number = number
        self._asked: dict[str, Request] = {}
        self.malformed: list[tuple[Request, Answer[ValueT]]] = []

    def answers(
        self, requests: Iterable[Request], last: bool, before: dict[str, Answer[ValueT]] | None = None
    ) -> Iterator[Answer[ValueT]]:
        for completion in self._engine.complete(self._remembered(requests)):
            request = self._asked.pop(completion.id)
            answer = self._answer(completion, (before or {}).get(completion.id))
            if not last and isinstance(answer.value, Refusal) and answer.value.malformed:
                self.malformed.append((request, answer))
            else:
                yield answer

    def _remembered(self, requests: Iterable[Request]) -> Iterator[Request]:
        for request in requests:
            if request.id in self._asked:
                raise ValueError(f"expected distinct request ids, found {request.id!r} twice")
            self._asked[request.id] = request
            yield request

    def _answer(self, completion: Completion, before: Answer[ValueT] | None) -> Answer[ValueT]:
        error = completion.error
        return Answer(
            id=completion.id,
            value=self._read(completion) if error is None else Refusal(error, completion.text),
            completion=completion,
            attempts=self._number,
            prompt_tokens=completion.prompt_tokens + (before.prompt_tokens if before else 0),
            cached_tokens=completion.cached_tokens + (before.cached_tokens if before else 0),
            output_tokens=completion.output_tokens + (before.output_tokens if before else 0),
        )


def _asked_again(request: Request) -> Request:
    sampling = request.sampling
    changed = {"seed": sampling.seed + 1, "temperature": max(sampling.temperature, RE_ASK_TEMPERATURE)}
    return replace(request, sampling=sampling.model_copy(update=changed))
