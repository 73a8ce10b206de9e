"""The server engine against a real HTTP server on this machine that misbehaves on request."""

import json
import logging
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from models.engine import Completion, Message, Request
from models.engines import close_engine, open_engine
from models.errors import TransientError, UsageError
from models.server_engine import SILENT, ServerEngine
from models.server_protocol import retry_after
from models.settings import Sampling, ServerSettings

Reply = tuple[int, dict[str, str], bytes]


def _completion(text: str = "hello", finish_reason: str = "stop", **usage: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return 200, {}, json.dumps({"choices": [choice], "usage": usage}).encode()


class Endpoint(ThreadingHTTPServer):
    """Does what the user message says, a word per attempt: a status, `reset`, `hang`, `empty`, `slow`, `ok`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.attempts: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.busy = self.most_busy = 0
        self.retry_after = "0"
        self.reply: Reply = _completion()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are the point."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        script = body["messages"][-1]["content"].split()
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers) | {"path": self.path})
            self.server.times.append(time.monotonic())
            key = body["messages"][-1]["content"]
            word = script[min(self.server.attempts[key], len(script) - 1)]
            self.server.attempts[key] += 1
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
        try:
            self._act(word)
        finally:
            with self.server.lock:
                self.server.busy -= 1

    def _act(self, word: str) -> None:
        if word == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif word == "hang":
            time.sleep(1.5)
        elif word == "empty":
            self._send(200, {}, b"")
        elif word.isdigit():
            self._send(int(word), {"Retry-After": self.server.retry_after}, b"the server's own words")
        else:
            time.sleep(0.3 if word == "slow" else 0.02)
            self._send(*self.server.reply)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield endpoint
    endpoint.shutdown()
    endpoint.server_close()


@pytest.fixture
def settings(endpoint: Endpoint) -> ServerSettings:
    url = f"http://127.0.0.1:{endpoint.server_address[1]}/v1"
    return ServerSettings(url=url, model="tiny", revision="r1", attempts=3, timeout_seconds=0.8, max_in_flight=8)


@pytest.fixture
def engine(settings: ServerSettings) -> Iterator[ServerEngine]:
    engine = ServerEngine(settings)
    yield engine
    engine.close()


def _request(script: str, id: str = "", grammar: str | None = None) -> Request:
    return Request(id or script, (Message("user", script),), Sampling(max_tokens=7, seed=3), grammar)


def _only(engine: ServerEngine, script: str) -> Completion:
    (completion,) = engine.complete([_request(script)])
    return completion


def test_completion_carries_text_tokens_and_finish_reason(endpoint: Endpoint, engine: ServerEngine) -> None:
    details = {"cached_tokens": 6}
    endpoint.reply = _completion("hi", "length", prompt_tokens=9, completion_tokens=7, prompt_tokens_details=details)
    assert _only(engine, "ok") == Completion("ok", "hi", "length", prompt_tokens=9, cached_tokens=6, output_tokens=7)
    assert engine.identity == "tiny@r1"


def test_request_is_sent_as_the_protocol_has_it(endpoint: Endpoint, engine: ServerEngine) -> None:
    list(engine.complete([_request("ok", grammar='start: "a"')]))
    assert endpoint.headers[0]["path"] == "/v1/chat/completions"
    assert endpoint.bodies[0] == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "ok"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 7,
        "seed": 3,
        "structured_outputs": {"grammar": 'start: "a"'},
    }


def test_server_without_structured_outputs_is_asked_freely(endpoint: Endpoint, settings: ServerSettings) -> None:
    engine = ServerEngine(settings.model_copy(update={"structured_outputs": False}))
    list(engine.complete([_request("ok", grammar='start: "a"')]))
    engine.close()
    assert "structured_outputs" not in endpoint.bodies[0]


@pytest.mark.parametrize("trouble", ["429", "502", "503", "504", "reset", "hang"])
def test_passing_trouble_is_tried_again(endpoint: Endpoint, engine: ServerEngine, trouble: str) -> None:
    assert _only(engine, f"{trouble} ok").error is None
    assert endpoint.attempts[f"{trouble} ok"] == 2


@pytest.mark.parametrize("status", ["400", "401", "404", "422", "500"])
def test_refusal_is_final_and_quotes_the_server(endpoint: Endpoint, engine: ServerEngine, status: str) -> None:
    completion = _only(engine, status)
    assert (completion.error, completion.text) == (f"refused_{status}", "the server's own words")
    assert endpoint.attempts[status] == 1


@pytest.mark.parametrize("reply", [b"", b"[]", b'{"choices": []}', b'{"choices": [{}]}', b"\xff", b'{"choices": [3]}'])
def test_success_without_a_completion_is_final(endpoint: Endpoint, engine: ServerEngine, reply: bytes) -> None:
    endpoint.reply = (200, {}, reply)
    assert _only(engine, "ok").error == "bad_response"
    assert endpoint.attempts["ok"] == 1


def test_server_that_breaks_off_is_an_error_of_that_name(endpoint: Endpoint, engine: ServerEngine) -> None:
    endpoint.reply = _completion("half a", "content_filter")
    completion = _only(engine, "ok")
    assert (completion.error, completion.finish_reason) == ("finish_content_filter", "error")


def test_invalid_grammar_is_not_sent(endpoint: Endpoint, engine: ServerEngine) -> None:
    requests = [_request("ok", "bad", "start: nowhere"), _request("ok", "good")]
    assert {c.id: c.error for c in engine.complete(requests)} == {"bad": "invalid_grammar", "good": None}
    assert len(endpoint.bodies) == 1


def test_retry_after_is_honoured(endpoint: Endpoint, engine: ServerEngine) -> None:
    endpoint.retry_after = "2"
    assert _only(engine, "429 ok").error is None
    assert endpoint.times[1] - endpoint.times[0] >= 2


def test_retry_after_is_read_as_seconds_or_date() -> None:
    assert retry_after("1.5") == 1.5
    assert 50 < retry_after(format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)) <= 60
    assert retry_after(format_datetime(datetime.now(UTC) - timedelta(minutes=1), usegmt=True)) == 0
    assert retry_after("") == retry_after("soon") == retry_after("-3") == 0


def test_spent_attempts_are_unavailable_when_others_are_answered(endpoint: Endpoint, engine: ServerEngine) -> None:
    completions = {c.id: c for c in engine.complete([_request("503"), _request("ok")])}
    assert completions["ok"].error is None
    assert completions["503"].error == "unavailable"
    assert "503" in completions["503"].text
    assert endpoint.attempts["503"] == 3


def test_server_that_answers_nothing_at_first_contact_is_gone(engine: ServerEngine) -> None:
    with pytest.raises(TransientError, match=r"none of the last 1 requests.*503"):
        _only(engine, "503")


def test_server_gone_halfway_is_given_up_before_all_is_tried(endpoint: Endpoint, engine: ServerEngine) -> None:
    completions = engine.complete(_request("503" if number else "ok", str(number)) for number in range(999))
    assert next(completions).id == "0"
    with pytest.raises(TransientError, match=f"none of the last {SILENT} requests"):
        next(completions)
    assert len(endpoint.bodies) < 200


def test_refused_connection_is_transient() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        engine = ServerEngine(ServerSettings(url=url, model="tiny", attempts=2))
        with pytest.raises(TransientError, match=url):
            _only(engine, "ok")
        engine.close()


def test_as_many_as_allowed_are_in_flight_and_no_more(endpoint: Endpoint, engine: ServerEngine) -> None:
    pulled = 0

    def requests() -> Iterator[Request]:
        nonlocal pulled
        for number in range(16):
            pulled += 1
            yield _request("slow", str(number))

    finished = 0
    for _ in engine.complete(requests()):
        finished += 1
        assert pulled - finished <= 8
    assert finished == 16
    assert endpoint.most_busy == 8


def test_completions_come_as_they_finish(engine: ServerEngine) -> None:
    assert [c.id for c in engine.complete([_request("slow"), _request("ok")])] == ["ok", "slow"]


def test_stopping_early_leaves_the_engine_usable(engine: ServerEngine) -> None:
    completions = engine.complete(_request("ok slow", str(number)) for number in range(20))
    next(completions)
    completions.close()
    assert _only(engine, "ok").error is None


def test_key_is_sent_and_never_told(
    endpoint: Endpoint, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TINY_KEY", "secret-1234\n")
    engine = ServerEngine(settings.model_copy(update={"api_key_env": "TINY_KEY"}))
    endpoint.reply = (403, {}, b"the key secret-1234 is wrong")
    completion = _only(engine, "ok")
    engine.close()
    assert endpoint.headers[0]["Authorization"] == "Bearer secret-1234"
    assert completion.text == "the key *** is wrong"
    assert "secret-1234" not in caplog.text


def test_missing_key_is_a_usage_error(settings: ServerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINY_KEY", raising=False)
    with pytest.raises(UsageError, match="TINY_KEY"):
        ServerEngine(settings.model_copy(update={"api_key_env": "TINY_KEY"}))


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host:port/v1"])
def test_malformed_url_is_a_usage_error(settings: ServerSettings, url: str) -> None:
    with pytest.raises(UsageError, match="expected the server's URL"):
        ServerEngine(settings.model_copy(update={"url": url}))


def test_one_engine_is_open_at_a_time(settings: ServerSettings) -> None:
    first = open_engine(settings)
    assert open_engine(settings) is first
    second = open_engine(settings.model_copy(update={"attempts": 2}))
    assert second is not first
    with pytest.raises(TransientError, match="closed"):
        next(first.complete([_request("ok")]))
    close_engine()
    close_engine()
    third = open_engine(settings)
    assert third is not first
    close_engine()
