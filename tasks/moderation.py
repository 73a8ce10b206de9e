"""Removal of harmful queries (paper 3.1): by a moderation endpoint, by a guard model, or not at all.

A query that cannot be judged does not come through in silence: an endpoint that stays unreachable raises, and a guard's
answer that says neither safe nor unsafe is a refusal of its own. The API key is read from the environment and appears
nowhere else.
Not covered: documents, images, languages that the moderating model does not know.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from models.engine import Completion, Message, Request
from models.engines import open_engine
from models.errors import TransientError, UsageError
from models.markup import neutralise
from models.refusals import Refusal
from models.settings import AskSettings, EngineSettings, Sampling
from tasks.asking import ask_rows
from tasks.settings import ModerationSettings

Moderator = Callable[[Sequence[str]], list[Refusal | None]]
"""Texts to a refusal with reason `moderated` or `unmoderated`, or None, per text."""

TEXTS_PER_CALL = 32
ATTEMPTS = 6

_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_GUARD = AskSettings(engine="guard", sampling=Sampling(max_tokens=24), constrained=False)


def open_moderator(settings: ModerationSettings, engines: Mapping[str, EngineSettings]) -> Moderator | None:
    """The profile's moderator; None when moderation is off.

    Raises:
        UsageError: when the endpoint has no URL, or its key is not in the environment.
    """
    match settings.kind:
        case "off":
            return None
        case "endpoint":
            return Endpoint(settings)
        case "guard":
            return Guard(engines[settings.engine])


class Endpoint:
    """An OpenAI-compatible `/moderations` endpoint.

    Raises:
        UsageError: when there is no URL, or the variable that should hold the key is empty.
    """

    def __init__(self, settings: ModerationSettings) -> None:
        if not settings.url:
            raise UsageError("queries.moderation.url is empty; expected the base URL of a moderation endpoint")
        headers = {}
        if settings.api_key_env:
            if not (key := os.environ.get(settings.api_key_env)):
                raise UsageError(f"moderation wants an API key in ${settings.api_key_env}, which is not set")
            headers["Authorization"] = f"Bearer {key}"
        self._url = f"{settings.url.rstrip('/')}/moderations"
        self._model = settings.model
        self._headers = headers

    def __call__(self, texts: Sequence[str]) -> list[Refusal | None]:
        """Ask about all texts, some dozens a call.

        Raises:
            TransientError: when the endpoint stays unreachable or overloaded.
            UsageError: when it refuses the request or answers in another form.
        """
        found: list[Refusal | None] = []
        with httpx.Client(headers=self._headers, timeout=60) as client:
            for start in range(0, len(texts), TEXTS_PER_CALL):
                found += self._moderate(client, list(texts[start : start + TEXTS_PER_CALL]))
        return found

    def _moderate(self, client: httpx.Client, texts: list[str]) -> list[Refusal | None]:
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.5, max=60),
            reraise=True,
        )
        results = retrying(self._post, client, texts)
        if len(results) != len(texts):
            raise UsageError(
                f"{self._url}: expected {len(texts)} results, found {len(results)}; is it a moderation API?"
            )
        return [_flagged(result) for result in results]

    def _post(self, client: httpx.Client, texts: list[str]) -> list[dict[str, Any]]:
        payload = {"input": texts, **({"model": self._model} if self._model else {})}
        try:
            response = client.post(self._url, json=payload)
        except httpx.TransportError as error:
            raise TransientError(f"{self._url} cannot be reached: {error!r}") from error
        if response.status_code in _TRANSIENT_STATUS:
            raise TransientError(f"{self._url} answered {response.status_code}")
        if response.is_error:
            raise UsageError(f"{self._url} refused to moderate: {response.status_code} {response.text[:200]}")
        try:
            results: list[dict[str, Any]] = response.json()["results"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self._url}: expected JSON with `results`, found {response.text[:200]!r}") from error
        return results


def _flagged(result: Mapping[str, Any]) -> Refusal | None:
    if not result.get("flagged"):
        return None
    categories = [name for name, hit in (result.get("categories") or {}).items() if hit]
    return Refusal("moderated", ", ".join(sorted(categories)))


class Guard:
    """A guard model that answers `safe`, or `unsafe` and the categories on the next line (Llama Guard's form)."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings

    def __call__(self, texts: Sequence[str]) -> list[Refusal | None]:
        """Ask about all texts.

        Raises:
            TransientError: when the engine is gone.
            ShardError: when too many requests fail.
        """
        requests = [Request("", (Message("user", neutralise(text)),), _GUARD.sampling) for text in texts]
        asked = ask_rows(open_engine(self._settings), requests, _read_verdict, _GUARD)
        return [_guarded(result.value) for result in asked.results]


def _read_verdict(_place: int, completion: Completion) -> str | Refusal:
    """The categories, empty for a safe text."""
    verdict, _, categories = completion.text.strip().partition("\n")
    match verdict.strip().lower():
        case "safe":
            return ""
        case "unsafe":
            return categories.strip() or "unsafe"
    return Refusal("unmoderated", f"expected safe or unsafe, found {completion.text[:80]!r}", malformed=True)


def _guarded(value: str | Refusal) -> Refusal | None:
    if isinstance(value, Refusal):
        return Refusal("unmoderated", f"{value.reason}: {value.detail}")
    return Refusal("moderated", value) if value else None
