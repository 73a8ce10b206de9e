"""Harmful queries go, by an endpoint or a guard model."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from models.engine import Completion, Request
from models.errors import TransientError, UsageError
from models.settings import ServerSettings
from tasks import moderation
from tasks.moderation import Endpoint, open_moderator
from tasks.settings import ModerationSettings
from tests.tasks.scripted_engine import ScriptedEngine, completion


class Moderations(BaseHTTPRequestHandler):
    """Flags texts with `bad` in them; answers with the statuses it is told first."""

    statuses: ClassVar[list[int]] = []
    seen: ClassVar[list[tuple[str, str | None, Any]]] = []

    def do_POST(self) -> None:
        """One call."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers["Authorization"], body))
        status = self.statuses.pop(0) if self.statuses else 200
        results = [{"flagged": "bad" in text, "categories": {"hate": True, "spam": False}} for text in body["input"]]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"results": results} if status == 200 else {"error": "no"}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """The endpoint, on this machine."""
    Moderations.statuses, Moderations.seen = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Moderations)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_off_moderates_nothing() -> None:
    """And opens nothing."""
    assert open_moderator(ModerationSettings(), {}) is None


def test_an_endpoint_flags_texts(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the categories as the detail, in calls of bounded size, with the key of the environment."""
    monkeypatch.setenv("MODERATION_KEY", "secret")
    settings = ModerationSettings(kind="endpoint", url=url, model="omni", api_key_env="MODERATION_KEY")
    moderate = open_moderator(settings, {})
    assert moderate is not None
    found = moderate(["good"] * 40 + ["bad one"])
    assert [refusal and (refusal.reason, refusal.detail) for refusal in found] == [None] * 40 + [("moderated", "hate")]
    assert [(path, key, body["model"], len(body["input"])) for path, key, body in Moderations.seen] == [
        ("/v1/moderations", "Bearer secret", "omni", 32),
        ("/v1/moderations", "Bearer secret", "omni", 9),
    ]


def test_an_overloaded_endpoint_is_asked_again(url: str) -> None:
    """With a pause."""
    Moderations.statuses = [503, 429]
    assert Endpoint(ModerationSettings(kind="endpoint", url=url))(["good"]) == [None]
    assert len(Moderations.seen) == 3


def test_a_refusal_of_the_endpoint_is_the_users_to_mend(url: str) -> None:
    """At once, with what it said."""
    Moderations.statuses = [401]
    with pytest.raises(UsageError, match="401"):
        Endpoint(ModerationSettings(kind="endpoint", url=url))(["good"])
    assert len(Moderations.seen) == 1


def test_an_endpoint_that_is_not_there_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    """After all attempts."""
    monkeypatch.setattr(moderation, "ATTEMPTS", 1)
    with pytest.raises(TransientError, match="cannot be reached"):
        Endpoint(ModerationSettings(kind="endpoint", url="http://127.0.0.1:9/v1"))(["good"])


def test_an_endpoint_without_url_or_key_is_refused_before_work() -> None:
    """By name of the setting or the variable."""
    with pytest.raises(UsageError, match=r"moderation\.url"):
        Endpoint(ModerationSettings(kind="endpoint"))
    with pytest.raises(UsageError, match=r"\$NO_SUCH_KEY"):
        Endpoint(ModerationSettings(kind="endpoint", url="http://127.0.0.1:9", api_key_env="NO_SUCH_KEY"))


def test_a_guard_model_says_safe_or_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else it says keeps the query out, under another reason."""
    answers = {"hello": "safe", "bomb": "\n\nunsafe\nS9", "riddle": "I would rather not say"}

    def reply(request: Request) -> Completion:
        return completion(request, answers[request.messages[0].content])

    monkeypatch.setattr(moderation, "open_engine", lambda _: ScriptedEngine(reply))
    engines = {"guard": ServerSettings(url="http://127.0.0.1:9/v1", model="guard")}
    guard = open_moderator(ModerationSettings(kind="guard", engine="guard"), engines)
    assert guard is not None
    found = guard(["hello", "bomb", "riddle"])
    assert [refusal and refusal.reason for refusal in found] == [None, "moderated", "unmoderated"]
    assert found[1] is not None
    assert found[1].detail == "S9"
