"""Trails: everything a store knows of an id, from tables made by hand with the real publishing code."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from models.errors import UsageError
from tasks.catalogue import Finding
from tasks.lookup import Trail, look_up
from tasks.records import Bank, Corpus, Counts, InputFile, Kind, Manifest, Scope, Shard, Source, Stage
from tasks.released import Release, ReleaseFile
from tasks.storage import Store, open_store
from tasks.tables import BANK, DOCUMENTS, MATCHES, PAIRS, QUERIES, REJECTED, RELEASE, TEMPLATES, VERDICTS
from tasks.work import Batch, Job, run

Row = Mapping[str, Any]
PAIR, LOST, LOW, OLD = "aaaa000000000001", "aaaa000000000002", "aaaa000000000003", "aaaa000000000004"
TEMPLATE, OTHER = "bbbb000000000001", "bbbb000000000002"
TEXT = "what is <fi>thing</fi>"
MATCH = {
    "document_id": "doc-1",
    "document_url": "d.jsonl",
    "document_row": 0,
    "template_id": TEMPLATE,
    "template": TEXT,
}


def table(schema: pl.Schema, rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of which only some columns matter; the others are null."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def finish(store: Store, folder: str, kept: pl.DataFrame, refused: Sequence[Row] = (), **job: Any) -> None:
    """Bring one stage on one shard to its receipt."""
    *_, shard, name = folder.split("/")
    stage: Stage = name.partition("-")[0]  # type: ignore[assignment]
    rejected = table(REJECTED, [{"kind": "rejected", **row} for row in refused])
    rows = pl.DataFrame({"row": range(len(kept) + len(rejected))})
    run(Job(store, stage, shard, folder, **job), [rows], lambda _: Batch(kept, rejected))


def present(store: Store, kind: Kind, shard: str) -> None:
    """Say that the corpus consists of this shard."""
    file = InputFile(url="d.jsonl", identity="1", source=Source(name="s"))
    listed = Shard(kind=kind, name=shard, key="k", file=file, rows=1)
    manifest = Manifest(file=file, kind=kind, key="m", shards=(listed,), counts=Counts())
    store.write_record(f"corpora/main/{kind}/m.json", manifest)
    store.write_record(
        f"corpora/main/{kind}.json", Corpus(kind=kind, urls=(), manifests=(f"corpora/main/{kind}/m.json",))
    )


def fill_queries(store: Store) -> None:
    """Two queries became one template; a third was a duplicate, a fourth no template."""
    queries = [{"query_id": f"query-{n}", "query": f"what is {n}", "url": "q.jsonl", "row": n} for n in range(4)]
    finish(store, "queries/main/q-0/ingest-1", table(QUERIES, queries), key="qi")
    repeated = {"id": "query-2", "url": "q.jsonl", "row": 2, "reason": "exact_duplicate", "detail": "query-0"}
    finish(store, "queries/main/all/select-1", table(QUERIES, [*queries[:2], queries[3]]), [repeated], key="qs")
    mined = [{**query, "template": TEXT} for query in queries[:2]]
    bad = {"id": "query-3", "url": "q.jsonl", "row": 3, "reason": "no_slot", "raw": "{}", "attempts": 2}
    models, prompt = {"genericizer": "g@1"}, "prompt"
    finish(
        store, "queries/main/q-0/mine-1", table(TEMPLATES, mined), [bad], key="qm", models=models, prompt_digest=prompt
    )


def fill_bank(store: Store) -> None:
    """A bank of two templates."""
    first = {"template_id": TEMPLATE, "template": TEXT, "query_ids": ["query-0", "query-1"]}
    second = {"template_id": OTHER, "template": "who is <fi>person</fi>", "query_ids": ["query-9"]}
    store.write_frame("bank/v1/templates/part-00000-0.parquet", table(BANK, [first, second]))
    bank = Bank(
        version="v1", templates=2, embedder="e@1", embedder_digest="x", dimensions=3, genericizer="g@1",
        complexity={1: 2}, reference_complexity={1: 2}, reference_sources=(), sources={"s": 2}, recall_at_10=1.0,
    )  # fmt: skip
    store.write_record("bank/v1/bank.json", bank)


def fill_documents(store: Store) -> None:
    """Three matches: one became a pair, one did not, one was judged low; a document without any match."""
    documents = [{"document_id": f"doc-{n}", "document_url": "d.jsonl", "document_row": n - 1} for n in (1, 2)]
    empty = {"id": "doc-3", "url": "d.jsonl", "row": 2, "reason": "empty_text"}
    finish(store, "shards/main/d-0/ingest-1", table(DOCUMENTS, documents), [empty], key="di")
    matches = [{**MATCH, "pair_id": pair, "chunk": 2, "similarity": 0.9} for pair in (PAIR, LOST, LOW)]
    alone = {"id": "doc-2", "url": "d.jsonl", "row": 1, "reason": "no_match"}
    finish(store, "shards/main/d-0/match-1", table(MATCHES, matches), [alone], key="dm", inputs=("di", "v1"))
    pairs = [{**MATCH, "pair_id": pair, "instruction": "what is x", "answer": "y"} for pair in (PAIR, LOW)]
    lost = {"id": LOST, "reason": "anchor_missing", "raw": '{"instruction": "what', "attempts": 2}
    finish(store, "shards/main/d-0/instantiate-1", table(PAIRS, pairs), [lost], key="dp", inputs=("dm",))
    verdicts = [{"pair_id": PAIR, "judge_score": 5}, {"pair_id": LOW, "judge_score": 2}]
    finish(store, "shards/main/d-0/judge-1", table(VERDICTS, verdicts), key="dj", inputs=("dp",))
    present(store, "documents", "d-0")


def fill_release(store: Store) -> None:
    """One pair released, one refused for its score."""
    store.write_frame("releases/first/data/train-00000-of-00001.parquet", table(RELEASE, [{**MATCH, "pair_id": PAIR}]))
    refused = {"id": LOW, "kind": "rejected", "reason": "score_2"}
    store.write_frame("releases/first/rejected.parquet", table(REJECTED, [refused]))
    release = Release(
        name="first", key="r", corpus="main", counts=Counts(rows_in=2, rows_out=1, rejected={"score_2": 1}), rows=1,
        tokens=1, documents=1, document_tokens=1, files=(ReleaseFile(name="data/x", rows=1, digest="d"),), shards=1,
        missing=(), funnel=(), sources=(), bank="v1", models={"judge": "j@1"}, prompts={}, settings={},
        moderation="off",
    )  # fmt: skip
    store.write_record("releases/first/release.json", release)


def filled(url: str) -> Scope:
    """A store in which one of everything happened."""
    store = open_store(url)
    fill_queries(store)
    fill_bank(store)
    fill_documents(store)
    fill_release(store)
    return Scope(store=url)


@pytest.fixture
def scope() -> Scope:
    """The filled store, in memory."""
    return filled(f"memory://lookup-{uuid.uuid4().hex}")


def steps(trail: Trail) -> list[tuple[str, str]]:
    """Stage and outcome of every finding."""
    return [(finding.stage, finding.outcome) for finding in trail.findings]


def at(trail: Trail, stage: Stage, outcome: str = "kept") -> Finding:
    """The finding of a stage."""
    return next(found for found in trail.findings if (found.stage, found.outcome) == (stage, outcome))


def test_a_pair_tells_its_whole_way_on_every_store(store_url: str) -> None:
    """From the queries behind its template to the release, with keys, models and prompts."""
    trail = look_up(filled(store_url), PAIR)
    assert trail.subject == "pair"
    assert steps(trail) == [
        (stage, "kept") for stage in ("mine", "index", "ingest", "match", "instantiate", "judge", "release")
    ]
    assert [row["query_id"] for row in at(trail, "mine").rows] == ["query-0", "query-1"]
    assert (at(trail, "mine").models, at(trail, "mine").prompt_digest) == ({"genericizer": "g@1"}, "prompt")
    assert (at(trail, "match").rows[0]["chunk"], at(trail, "match").rows[0]["similarity"]) == (2, 0.9)
    assert at(trail, "index").rows[0]["template_id"] == TEMPLATE
    assert at(trail, "ingest").rows[0]["document_id"] == "doc-1"
    assert at(trail, "judge").rows[0]["judge_score"] == 5
    assert (at(trail, "release").shard, at(trail, "release").key) == ("first", "r")


def test_a_match_without_a_pair_tells_why(scope: Scope) -> None:
    """The reason, the raw completion and the attempts."""
    trail = look_up(scope, LOST)
    refused = at(trail, "instantiate", "rejected").rows[0]
    assert (refused["reason"], refused["raw"], refused["attempts"]) == ("anchor_missing", '{"instruction": "what', 2)
    assert ("judge", "kept") not in steps(trail)


def test_a_pair_left_out_of_a_release_tells_why(scope: Scope) -> None:
    """The verdict is kept, the release names its reason."""
    trail = look_up(scope, LOW)
    assert at(trail, "judge").rows[0]["judge_score"] == 2
    assert at(trail, "release", "rejected").rows[0]["reason"] == "score_2"


def test_results_of_earlier_settings_come_before_those_of_now(scope: Scope) -> None:
    """Every key is a finding of its own; the newest is the last."""
    refused = {"id": PAIR, "reason": "null", "raw": "null", "attempts": 1}
    finish(open_store(scope.store), "shards/main/d-0/instantiate-0", table(PAIRS, []), [refused], key="later")
    found = [finding for finding in look_up(scope, PAIR).findings if finding.stage == "instantiate"]
    assert [(finding.key, finding.outcome) for finding in found] == [("dp", "kept"), ("later", "rejected")]


def test_a_document_tells_what_became_of_all_its_matches(scope: Scope) -> None:
    """Pairs, rejections, verdicts and releases of one document together."""
    trail = look_up(scope, "doc-1")
    assert trail.subject == "document"
    assert (at(trail, "match").total, at(trail, "instantiate").total, at(trail, "judge").total) == (3, 2, 2)
    assert at(trail, "instantiate", "rejected").rows[0]["id"] == LOST
    assert (at(trail, "release").total, at(trail, "release", "rejected").total) == (1, 1)


def test_a_document_without_pairs_tells_why(scope: Scope) -> None:
    """No match, or refused when it was read."""
    assert at(look_up(scope, "doc-2"), "match", "rejected").rows[0]["reason"] == "no_match"
    assert steps(look_up(scope, "doc-3")) == [("ingest", "rejected")]


def test_a_template_tells_sources_and_usage(scope: Scope) -> None:
    """The queries it came from, how often it was used, and some of its pairs."""
    trail = look_up(scope, TEMPLATE)
    assert trail.usage == {"match": 3, "instantiate": 2}
    assert steps(trail) == [("mine", "kept"), ("index", "kept"), ("instantiate", "kept"), ("release", "kept")]
    unused = look_up(scope, OTHER)
    assert (unused.usage, steps(unused)) == ({"match": 0, "instantiate": 0}, [("index", "kept")])


@pytest.mark.parametrize(
    ("query", "way"),
    [
        ("query-0", [("ingest", "kept"), ("select", "kept"), ("mine", "kept"), ("index", "kept")]),
        ("query-2", [("ingest", "kept"), ("select", "rejected")]),
        ("query-3", [("ingest", "kept"), ("select", "kept"), ("mine", "rejected")]),
    ],
)
def test_a_query_tells_how_far_it_came(scope: Scope, query: str, way: list[tuple[str, str]]) -> None:
    """Into the bank, or to the stage that refused it."""
    assert steps(look_up(scope, query)) == way


def test_an_unfinished_stage_is_not_seen(scope: Scope) -> None:
    """Only what a receipt vouches for counts."""
    open_store(scope.store).delete("shards/main/d-0/judge-1/receipt.json")
    assert ("judge", "kept") not in steps(look_up(scope, PAIR))


def test_shards_of_the_corpus_come_before_those_that_are_gone(scope: Scope) -> None:
    """A changed file leaves an old shard in which the same row has the same pair id."""
    store = open_store(scope.store)
    finish(
        store,
        "shards/main/c-0/match-1",
        table(MATCHES, [{**MATCH, "pair_id": PAIR}, {**MATCH, "pair_id": OLD}]),
        key="o",
    )
    assert at(look_up(scope, PAIR), "match").shard == "d-0"
    assert at(look_up(scope, OLD), "match").shard == "c-0"


def test_a_beginning_is_enough_when_only_one_id_has_it(scope: Scope) -> None:
    """Six characters or more; a whole id wins over longer ones."""
    assert look_up(scope, TEMPLATE[:-1] + "1").id == TEMPLATE
    with pytest.raises(UsageError, match=r"3 ids begin with 'aaaa00' \(pair:aaaa000000000001, .*give more characters"):
        look_up(scope, PAIR[:6])
    with pytest.raises(UsageError, match=r"2 ids begin with 'bbbb0000' \(template:"):
        look_up(scope, TEMPLATE[:8])
    finish(
        open_store(scope.store), "shards/main/e-0/match-1", table(MATCHES, [{**MATCH, "pair_id": "cccc" * 4}]), key="e"
    )
    assert look_up(scope, "cccccc").id == "cccc" * 4


def test_the_kind_may_be_named(scope: Scope) -> None:
    """Where a query and a document have one id, the document comes first unless the query is asked for."""
    queries = table(QUERIES, [{"query_id": "doc-1", "url": "r.jsonl", "row": 0}])
    finish(open_store(scope.store), "queries/main/r-0/ingest-1", queries, key="ri")
    assert look_up(scope, "doc-1").subject == "document"
    assert look_up(scope, "query:doc-1").subject == "query"


def test_an_unknown_id_says_what_was_searched(scope: Scope) -> None:
    """Kinds, corpus, store, and what is expected."""
    with pytest.raises(
        UsageError, match=r"no pair or template or document or query .*'nothing'.* corpus 'main' .*whole or"
    ):
        look_up(scope, "nothing")
    with pytest.raises(UsageError, match="no query has an id"):
        look_up(scope, "query:doc-2")


def test_short_beginnings_are_not_searched(scope: Scope) -> None:
    """Five characters may be an id, but not the beginning of one."""
    with pytest.raises(UsageError, match="no pair"):
        look_up(scope, "query")


def test_a_trail_is_plain_json(scope: Scope) -> None:
    """For `--json`."""
    dumped = json.loads(json.dumps(look_up(scope, PAIR).as_dict()))
    assert dumped["findings"][-1]["stage"] == "release"
