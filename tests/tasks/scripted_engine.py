"""A third engine: it answers from a script, out of order, and remembers what it was asked."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from models.engine import Completion, Request


def completion(request: Request, text: str) -> Completion:
    """A completion of ten prompt tokens, four of them cached, and five output tokens."""
    return Completion(request.id, text, "stop", prompt_tokens=10, cached_tokens=4, output_tokens=5)


def failure(request: Request, kind: str) -> Completion:
    """The engine gave no answer."""
    return Completion(request.id, f"{kind} on purpose", "error", error=kind)


@dataclass
class ScriptedEngine:
    """Answers every request by `reply`, the last one first."""

    reply: Callable[[Request], Completion]
    identity: str = "script@1"
    asked: list[Request] = field(default_factory=list)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Take all requests, then answer them in reverse."""
        taken = list(requests)
        self.asked += taken
        for request in reversed(taken):
            yield self.reply(request)

    def close(self) -> None:
        """Nothing to give back."""
