"""Any OpenAI-compatible endpoint: `vllm serve`, llama.cpp's server, a hosted one.

Guarantees those of `models.engine`. A background thread runs the connections; requests are pulled, and completions
handed out, in the caller's thread. What may pass is tried again, up to `attempts` times with exponential back-off and
jitter: connection errors, timeouts, and the statuses 429, 502, 503 and 504, whose Retry-After is honoured up to ten
minutes. Everything else is final at once and yields a completion with one of the errors below:

    unavailable       all attempts were spent
    refused_<status>  any other status, with what the server said
    invalid_grammar   found before sending; some servers die of one
    bad_response      a success whose body is not a chat completion
    finish_<reason>   the server broke off for a reason of its own, such as `content_filter`

When `SILENT` requests in a row end as `unavailable`, or all there are at first contact, the server is taken to be gone:
`TransientError`, and those requests yield no completions.

The key is read from the environment when the engine is opened and appears in no log and no error.
"""

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import lru_cache
from queue import SimpleQueue
from typing import TYPE_CHECKING

import tenacity

from models.engine import Completion, Request, failure
from models.errors import TransientError, UsageError
from models.grammar_check import check_grammar
from models.server_protocol import Busy, completion_of, payload
from models.settings import ServerSettings
from models.tokens import Tokenizer

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

SILENT = 16
"""Unavailable requests in a row after which the server is taken to be gone."""
LONGEST_PAUSE_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 600.0
CONNECTIONS_PER_CLIENT = 16
"""httpx walks through all of a client's connections for each request, so that thousands must not share one client."""


class ServerEngine:
    """An engine behind a URL.

    Raises:
        UsageError: the URL is not one of HTTP, or the key's environment variable is not set.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.identity = f"{settings.model}@{settings.revision or 'unknown'}"
        self.alive = True
        self._settings = settings
        self._key = _key(settings.api_key_env)
        self._clients = _clients(settings, self._key)
        self._turn = itertools.cycle(self._clients)
        self._biases = lru_cache(self._token_biases)
        self._answered = False
        _allow_open_files(settings.max_in_flight)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server-engine", daemon=True)
        self._thread.start()

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield one completion per request, as they finish; stopping early cancels what is in flight.

        Raises:
            TransientError: the server is gone.
            UsageError: a request's bias names a text that is not one token of the model, or there is no tokenizer.
        """
        if not self.alive:
            raise TransientError(f"the engine of {self._settings.url} is closed; open a new one")
        done: SimpleQueue[Future[Completion]] = SimpleQueue()
        in_flight: set[Future[Completion]] = set()
        unavailable: list[Completion] = []
        pending = iter(requests)
        try:
            while True:
                self._submit(pending, in_flight, done)
                if not in_flight:
                    break
                future = done.get()
                in_flight.remove(future)
                completion = future.result()
                if completion.error == "unavailable":
                    unavailable.append(completion)
                    self._expect_answers(unavailable, SILENT)
                else:
                    self._answered = True
                    yield from unavailable
                    unavailable.clear()
                    yield completion
            self._expect_answers(unavailable, SILENT if self._answered else 1)
            yield from unavailable
        finally:
            for future in in_flight:
                future.cancel()

    def close(self) -> None:
        """Close the connections; the engine cannot be used afterwards."""
        if not self.alive:
            return
        self.alive = False
        asyncio.run_coroutine_threadsafe(self._close_clients(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(
        self,
        pending: Iterator[Request],
        in_flight: set[Future[Completion]],
        done: "SimpleQueue[Future[Completion]]",
    ) -> None:
        """Fill up to the bound, but leave off as soon as there is something to hand out."""
        while len(in_flight) < self._settings.max_in_flight and done.empty():
            request = next(pending, None)
            if request is None:
                return
            future = asyncio.run_coroutine_threadsafe(self._ask(request, self._biases(request.bias)), self._loop)
            in_flight.add(future)
            future.add_done_callback(done.put)

    def _token_biases(self, bias: tuple[tuple[str, float], ...]) -> dict[int, float]:
        return Tokenizer(self._settings.tokenizer or self._settings.model).biases(bias) if bias else {}

    def _expect_answers(self, unavailable: list[Completion], limit: int) -> None:
        if len(unavailable) >= limit:
            raise TransientError(
                f"{self._settings.url} answered none of the last {len(unavailable)} requests, each tried "
                f"{self._settings.attempts} times ({unavailable[-1].text}); check that it runs, then try again"
            )

    async def _ask(self, request: Request, bias: dict[int, float]) -> Completion:
        import httpx

        grammar = request.grammar if self._settings.structured_outputs else None
        wrong = check_grammar(grammar) if grammar is not None else None
        if wrong:
            return failure(request, "invalid_grammar", wrong)
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._settings.attempts),
            wait=_pause,
            retry=tenacity.retry_if_exception_type((Busy, httpx.TransportError)),
        )
        body = payload(request, self._settings, grammar, bias)
        try:
            response: httpx.Response = await retrying(self._post, next(self._turn), body)
        except tenacity.RetryError as error:
            return failure(request, "unavailable", _named(error.last_attempt.exception()))
        except httpx.RequestError as error:
            return failure(request, "bad_response", _named(error))
        return completion_of(request, response, self._key)

    async def _post(self, client: "httpx.AsyncClient", body: bytes) -> "httpx.Response":
        response = await client.post("chat/completions", content=body)
        if response.status_code in Busy.STATUSES:
            raise Busy(response)
        return response

    async def _close_clients(self) -> None:
        for client in self._clients:
            await client.aclose()


def _clients(settings: ServerSettings, key: str) -> "list[httpx.AsyncClient]":
    import httpx

    try:
        url = httpx.URL(settings.url)
    except httpx.InvalidURL as error:
        raise UsageError(f"expected the server's URL, found {settings.url!r}: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"expected the server's URL to be like http://host:port/v1, found {settings.url!r}")
    trust = httpx.create_ssl_context()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    return [
        httpx.AsyncClient(
            base_url=url,
            headers=headers,
            verify=trust,
            timeout=httpx.Timeout(settings.timeout_seconds, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS_PER_CLIENT),
        )
        for _ in range(0, settings.max_in_flight, CONNECTIONS_PER_CLIENT)
    ]


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: what the server asks for, and a random time that doubles with each attempt."""
    error = state.outcome.exception() if state.outcome else None
    asked = min(error.retry_after, LONGEST_RETRY_AFTER_SECONDS) if isinstance(error, Busy) else 0.0
    return asked + tenacity.wait_random_exponential(max=LONGEST_PAUSE_SECONDS)(state)


def _named(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"expected the server's key in the environment variable {variable}, which is not set; set it")
    return key


def _allow_open_files(connections: int) -> None:
    """Raise this process's limit of open files, which is often 1,024, as far as needed and allowed."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 1024
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            logger.warning("at most %d files may be open, fewer than %d requests in flight need", allowed, connections)
