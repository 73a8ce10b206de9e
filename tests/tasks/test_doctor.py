"""Checks before work: what is found, what to do about it, and that one failure hides no other."""

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

from models.errors import UsageError
from tasks.doctor import Check, examine, preflight
from tasks.records import Bank, CurrentBank, Scope
from tasks.storage import open_store
from tasks.workspace import open_workspace
from tests.conftest import free_port, without_credentials


class Yes(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that says yes to everything."""

    def do_POST(self) -> None:
        """A completion."""
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}
        answer = {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}
        body = json.dumps({**answer, "usage": {"prompt_tokens": 9, "completion_tokens": 2}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Health, models: all is well."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Yes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def scope(endpoint: str) -> Scope:
    """A profile whose engine is the endpoint, on an empty store."""
    overrides = (f"engines.server.url={endpoint}/v1", "engines.server.attempts=1", "engines.server.api_key_env=")
    return Scope(store=f"memory://doctor-{uuid.uuid4().hex}", profile="server", overrides=overrides)


def changed(scope: Scope, *overrides: str, store: str = "") -> Scope:
    """The scope with more settings, or another store."""
    return scope.model_copy(update={"overrides": (*scope.overrides, *overrides), "store": store or scope.store})


def checks(scope: Scope) -> dict[str, Check]:
    """All checks by name."""
    return {check.name: check for check in examine(scope)}


def failed(found: dict[str, Check]) -> list[str]:
    """Names of those that are not well."""
    return [name for name, check in found.items() if not check.ok]


def publish_bank(scope: Scope, embedder_digest: str) -> None:
    """An empty bank made with some embedder."""
    store = open_store(scope.store)
    bank = Bank(
        version="v1", templates=0, embedder="other@1", embedder_digest=embedder_digest, dimensions=3, genericizer="g@1",
        complexity={}, reference_complexity={}, reference_sources=(), sources={}, recall_at_10=1.0,
    )  # fmt: skip
    store.write_record("bank/v1/bank.json", bank)
    store.write_record("bank/current.json", CurrentBank(version="v1"))


def test_all_is_well(scope: Scope) -> None:
    """Every part is looked at, the real embedder and a real engine answer, and nothing is left in the store."""
    publish_bank(scope, open_workspace(scope).embedder_digest)
    before = open_store(scope.store).find("")
    found = checks(scope)
    assert failed(found) == []
    assert "384 dimensions" in found["embedder answers"].found
    assert "said 'Yes.'" in found["engine server answers"].found
    assert found["bank"].found.startswith("v1: 0 templates")
    assert {"python", "torch", "polars", "store", "prefect", "profile", "tokenizer"} <= found.keys()
    assert open_store(scope.store).find("") == before


def test_a_profile_with_a_mistake_hides_no_other_check(scope: Scope) -> None:
    """The store is checked all the same; what needs the profile is left out."""
    found = checks(changed(scope, "match.treshold=0.4"))
    assert failed(found) == ["profile"]
    assert "did you mean 'threshold'" in found["profile"].found
    assert "store" in found
    assert "embedder answers" not in found


def test_a_store_that_cannot_be_written_hides_no_model(scope: Scope, tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    found = checks(changed(scope, store=str(tmp_path / "file" / "store")))
    assert failed(found) == ["store"]
    assert "an object cannot be written" in found["store"].found


def test_an_unknown_protocol_hides_no_model(scope: Scope) -> None:
    """The store cannot even be opened."""
    found = checks(changed(scope, store="nowhere://x"))
    assert failed(found) == ["store", "bank"]
    assert found["embedder answers"].ok


def test_a_bucket_without_credentials_hides_no_model(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own errors are no `OSError`."""
    without_credentials(monkeypatch)
    found = checks(changed(scope, store=f"s3://bucket-{uuid.uuid4().hex}/store"))
    assert failed(found) == ["store", "bank"]
    assert "an object cannot be written: Unable to locate credentials" in found["store"].found


def test_missing_models_and_dead_servers_are_told_apart(scope: Scope) -> None:
    """Each says what is wrong with it."""
    port = free_port()
    found = checks(changed(scope, f"engines.server.url=http://127.0.0.1:{port}/v1", "embedder.model=package:nothing"))
    assert failed(found) == ["model of the embedder", "embedder answers", "engine server answers"]
    assert "nothing" in found["model of the embedder"].found
    assert str(port) in found["engine server answers"].found


def test_a_missing_bank_is_fine_but_one_of_another_embedder_is_not(scope: Scope) -> None:
    """Its vectors cannot be compared with those of this profile."""
    assert checks(scope)["bank"] == Check("bank", True, "none yet")
    publish_bank(scope, "something else")
    assert "was made with the embedder other@1" in checks(scope)["bank"].found


def test_prefect_is_reached_or_not_needed(scope: Scope, endpoint: str) -> None:
    """A configured API must answer; without one a command starts its own server, if it may."""
    with temporary_settings({PREFECT_API_URL: f"{endpoint}/api"}):
        assert checks(scope)["prefect"].ok
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        assert "does not answer" in checks(scope)["prefect"].found
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert "ephemeral" in checks(scope)["prefect"].found
        with temporary_settings({PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}):
            assert "flows cannot run" in checks(scope)["prefect"].found


def test_preflight_leaves_nothing_behind(scope: Scope, tmp_path: Path) -> None:
    """Good input passes in silence."""
    (tmp_path / "documents.jsonl").write_text("{}")
    preflight(scope, (f"{tmp_path}/*.jsonl",), (str(tmp_path),))
    assert open_store(scope.store).find("") == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("match.treshold=0.4", "unknown key 'match.treshold'; did you mean 'threshold'"),
        ("embedder.model=package:nothing", "nothing"),
        ("tokenizer=package:nothing", "nothing"),
        ("engines.server.api_key_env=NO_SUCH_KEY", "NO_SUCH_KEY, which is not set"),
        ("queries.evaluation_files=['/none/*.jsonl']", "no file matches '/none"),
        ("queries.moderation.kind=endpoint", r"queries\.moderation\.url is empty"),
    ],
)
def test_preflight_refuses_settings_that_cannot_work(scope: Scope, tmp_path: Path, override: str, message: str) -> None:
    """One clear line, before any model is loaded."""
    (tmp_path / "queries.txt").write_text("what is a fjord")
    with pytest.raises(UsageError, match=message) as caught:
        preflight(changed(scope, override), (str(tmp_path),), ())
    assert "\n" not in str(caught.value)


def test_preflight_refuses_urls_without_files(scope: Scope, tmp_path: Path) -> None:
    """Queries and documents alike."""
    (tmp_path / "document.jsonl").write_text("{}")
    with pytest.raises(UsageError, match=r"documents\.jsonl.*did you mean .*document\.jsonl"):
        preflight(scope, (), (str(tmp_path / "documents.jsonl"),))
    with pytest.raises(UsageError, match="no file matches"):
        preflight(scope, ("memory://none/*.jsonl",), (str(tmp_path),))


def test_preflight_refuses_a_store_that_cannot_be_written(scope: Scope, tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="an object cannot be written"):
        preflight(changed(scope, store=str(tmp_path / "file" / "store")), (), ())


def test_preflight_wants_a_bank_for_documents_alone(scope: Scope, tmp_path: Path) -> None:
    """With queries the run builds its own, so that another embedder is no reason to refuse."""
    (tmp_path / "rows.txt").write_text("a fjord")
    with pytest.raises(UsageError, match="has no template bank"):
        preflight(scope, (), (str(tmp_path),))
    publish_bank(scope, "something else")
    with pytest.raises(UsageError, match="was made with the embedder other@1"):
        preflight(scope, (), (str(tmp_path),))
    preflight(scope, (str(tmp_path),), (str(tmp_path),))
    preflight(scope, (), ())


def test_a_key_is_not_wanted_where_nothing_is_to_be_asked(scope: Scope) -> None:
    """To look at a store takes no engine."""
    keyless = changed(scope, "engines.server.api_key_env=NO_SUCH_KEY")
    preflight(keyless, (), ())
    with pytest.raises(UsageError, match="NO_SUCH_KEY, which is not set"):
        preflight(keyless, (), (), asks=True)
