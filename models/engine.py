"""The engine protocol: many requests in, completions out as they finish.

Guarantees of every engine: at most `max_in_flight` requests are in flight; `requests` is consumed lazily; every request
yields exactly one completion, in the order of finishing; a request that fails for itself (invalid grammar, prompt too
long, refused by the server) yields a completion with `error` set and harms no other; only when the engine as a whole is
gone does `complete` raise `TransientError`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from models.settings import Sampling

FinishReason = Literal["stop", "length", "error"]

FINISHED: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
"""What vLLM and servers call the ends of a completion that did not fail."""


@dataclass(frozen=True)
class Message:
    """One chat message; `content` is plain text in which markup of the chat template has been neutralised."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Request:
    """One question to a model.

    `grammar` is a Lark grammar in llguidance's dialect, or None for free decoding. `bias` adds to the logits of single
    tokens, named by their text, at every step; a text that is not one token of the model is a `UsageError`.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    grammar: str | None = None
    bias: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Completion:
    """One answer. `error` is None, or a short kind such as `invalid_grammar`, with `text` saying more."""

    id: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    error: str | None = None


def failure(request: Request, error: str, text: str) -> Completion:
    """A completion that says why there is none."""
    return Completion(id=request.id, text=text, finish_reason="error", error=error)


class Engine(Protocol):
    """Whatever can complete requests; see the module's docstring for what it guarantees."""

    identity: str
    """`name@revision` of the model that answers."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield one completion per request, as they finish."""
        ...

    def close(self) -> None:
        """Give back memory and connections; the engine cannot be used afterwards."""
        ...
