"""The OpenAI protocol's chat completions: a request's body, and what a response means. No connections here."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from models.engine import FINISHED, Completion, Request, failure
from models.settings import ServerSettings
from models.tokens import encodable

if TYPE_CHECKING:
    import httpx

QUOTED_CHARACTERS = 500
"""How much of a server's refusal is kept."""


class Busy(Exception):
    """The server asks to be tried again later; `retry_after` is in seconds, 0 if it did not say."""

    STATUSES: ClassVar[frozenset[int]] = frozenset(
        {
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.BAD_GATEWAY,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.GATEWAY_TIMEOUT,
        }
    )

    def __init__(self, response: "httpx.Response") -> None:
        super().__init__(f"status {response.status_code}")
        self.retry_after = retry_after(response.headers.get("Retry-After", ""))


def retry_after(header: str) -> float:
    """Seconds a Retry-After header asks for, given in seconds or as a date; 0 for anything else."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def payload(request: Request, settings: ServerSettings, grammar: str | None, bias: dict[int, float]) -> bytes:
    """The JSON body of a chat completion; the grammar goes into vLLM's `structured_outputs`, `bias` is by token."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [{"role": message.role, "content": encodable(message.content)} for message in request.messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
    }
    if grammar is not None:
        body["structured_outputs"] = {"grammar": grammar}
    if bias:
        body["logit_bias"] = bias
    return json.dumps(body, ensure_ascii=False).encode()


def completion_of(request: Request, response: "httpx.Response", key: str) -> Completion:
    """What a final response says; `key` is blotted out of anything quoted from the server."""
    said = response.text[:QUOTED_CHARACTERS]
    if key:
        said = said.replace(key, "***")
    if response.status_code != HTTPStatus.OK:
        return failure(request, f"refused_{response.status_code}", said)
    try:
        return _read(request, response.json())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return failure(request, "bad_response", f"expected a chat completion ({type(error).__name__}), found: {said}")


def _read(request: Request, body: dict[str, Any]) -> Completion:
    choice = body["choices"][0]
    reason = choice.get("finish_reason")
    finished = FINISHED.get(reason)
    usage = body.get("usage") or {}
    return Completion(
        id=request.id,
        text=str(choice["message"]["content"] or ""),
        finish_reason=finished or "error",
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        output_tokens=int(usage.get("completion_tokens") or 0),
        error=None if finished else f"finish_{reason}",
    )
