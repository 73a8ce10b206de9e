"""A few documents through everything, with every prompt and raw completion; nothing is stored.

The stages' own functions do the work, so that a preview is what a run would make of these documents with the current
bank; only the engine is wrapped, to remember what was asked and answered. Whatever stops a stage stops the preview.
Not covered: what happens to pairs in a release, where duplicates and the token budget of all documents decide.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import polars as pl

from models.embedder import open_embedder
from models.engine import Completion, Engine, Message, Request
from models.engines import open_engine
from models.instantiator import Instantiator
from models.judge import Judge
from models.settings import Settings
from tasks.bank import open_bank
from tasks.ingest import Intake, ingest_rows, item_frame
from tasks.inputs import list_files
from tasks.instantiate import choose_windows, instantiate_rows, with_documents
from tasks.judge import judge_rows
from tasks.match import match_rows
from tasks.plan import document_shards
from tasks.records import Receipt, Scope
from tasks.tables import DOCUMENTS, MATCHES, PAIRS, REJECTED
from tasks.work import Batch, read_rows
from tasks.workspace import Workspace, open_workspace

_MATCH_COLUMNS = ("pair_id", "template_id", "template", "chunk", "similarity")


class Exchange(Settings):
    """One question to an engine and its answer; `error` is the engine's own failure."""

    messages: tuple[Message, ...]
    temperature: float
    seed: int
    raw: str
    error: str | None


class Outcome(Settings):
    """What a stage made of one match: a row of its table, or the reason why there is none."""

    exchanges: tuple[Exchange, ...]
    row: dict[str, object] | None
    reason: str = ""
    detail: str = ""


class PreviewedMatch(Settings):
    """A template for the document, with its chunk and similarity, and what became of it."""

    pair_id: str
    template_id: str
    template: str
    chunk: int
    similarity: float
    pair: Outcome
    verdict: Outcome | None


class PreviewedDocument(Settings):
    """A document and its matches; without any, `reason` and `detail` say why."""

    document_id: str
    document_url: str
    document_row: int
    text: str
    token_count: int
    matches: tuple[PreviewedMatch, ...]
    reason: str = ""
    detail: str = ""


class RecordingEngine:
    """An engine that remembers what it was asked and what it answered, by request id."""

    def __init__(self, engine: Engine) -> None:
        self.identity = engine.identity
        self._engine = engine
        self._exchanges: dict[str, list[Exchange]] = {}

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """The engine's completions, in its order."""
        asked: dict[str, Request] = {}

        def remembered() -> Iterator[Request]:
            for request in requests:
                asked[request.id] = request
                yield request

        for completion in self._engine.complete(remembered()):
            request = asked.pop(completion.id)
            exchange = Exchange(
                messages=request.messages,
                temperature=request.sampling.temperature,
                seed=request.sampling.seed,
                raw=completion.text,
                error=completion.error,
            )
            self._exchanges.setdefault(completion.id, []).append(exchange)
            yield completion

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def outcomes(self, asked: pl.DataFrame, batch: Batch) -> dict[str, Outcome]:
        """What became of every asked row, by pair id; stages ask by the place of a row in its frame."""
        kept = {row["pair_id"]: row for row in batch.kept.iter_rows(named=True)}
        refused = {row["id"]: row for row in batch.rejected.iter_rows(named=True)}
        found = {}
        for place, pair_id in enumerate(asked["pair_id"]):
            why = refused.get(pair_id, {})
            found[pair_id] = Outcome(
                exchanges=tuple(self._exchanges.get(str(place), ())),
                row=kept.get(pair_id),
                reason=why.get("reason") or "",
                detail=why.get("detail") or "",
            )
        return found


def preview(scope: Scope, urls: tuple[str, ...], number: int) -> Iterator[PreviewedDocument]:
    """Match, instantiate and judge the first documents, one stage after the other; they come when all are judged.

    Args:
        scope: Store, corpus, profile and bank version.
        urls: fsspec globs of document files; none means the corpus as it was read in.
        number: Documents to take.

    Raises:
        UsageError: when there is no bank for this embedder, no such file, or nothing was read in yet.
        TransientError: when an engine is gone or cannot be reached.
        ShardError: when too many requests fail.
    """
    workspace = open_workspace(scope)
    frames = _from_files(workspace, urls, number) if urls else _from_corpus(workspace, number)
    documents = pl.concat([DOCUMENTS.to_frame(), *frames])
    # An id is one document's within its file only.
    documents = documents.unique("document_id", keep="first", maintain_order=True)
    matched = _match(workspace, documents)
    matches = with_documents(matched.kept, documents)
    instantiated, pairs = _instantiate(workspace, matches)
    verdicts = _judge(workspace, instantiated.kept)
    unmatched = {row["id"]: row for row in matched.rejected.iter_rows(named=True)}
    for document in documents.drop("document_source").iter_rows(named=True):
        why = unmatched.get(document["document_id"], {})
        own = matches.filter(document_id=document["document_id"])
        yield PreviewedDocument(
            **document,
            matches=tuple(
                PreviewedMatch(**match, pair=pairs[match["pair_id"]], verdict=verdicts.get(match["pair_id"]))
                for match in own.select(_MATCH_COLUMNS).iter_rows(named=True)
            ),
            reason=why.get("reason") or "",
            detail=why.get("detail") or "",
        )


def _from_files(workspace: Workspace, urls: tuple[str, ...], number: int) -> Iterator[pl.DataFrame]:
    """The first good rows of files, as `ingest` would read them."""
    for file in list_files(workspace.profile.documents, urls):
        intake = Intake(workspace, "documents", file)
        good = list(islice((item for item in intake.items() if item.refusal is None), number))
        number -= len(good)
        yield ingest_rows(item_frame(good), intake).kept
        if not number:
            return


def _from_corpus(workspace: Workspace, number: int) -> Iterator[pl.DataFrame]:
    """The first documents of the corpus."""
    for shard in document_shards(workspace.scope):
        job = workspace.ingest_job("documents", shard.name, shard.key)
        for frame in read_rows(workspace.store, job.folder, workspace.store.read_record(job.receipt_name, Receipt)):
            yield frame.head(number)
            number -= min(number, len(frame))
            if not number:
                return


def _match(workspace: Workspace, documents: pl.DataFrame) -> Batch:
    if documents.is_empty():
        return Batch(MATCHES.to_frame(), REJECTED.to_frame())
    bank = open_bank(workspace.store, workspace.bank.version)
    return match_rows(documents, bank, open_embedder(workspace.profile.embedder), workspace.profile.match)


def _instantiate(workspace: Workspace, matches: pl.DataFrame) -> tuple[Batch, dict[str, Outcome]]:
    if matches.is_empty():
        return Batch(PAIRS.to_frame(), REJECTED.to_frame()), {}
    profile, settings = workspace.profile, workspace.profile.instantiator
    tokenizer = workspace.open_tokenizer()
    windows = choose_windows(matches, tokenizer, settings.document_tokens, profile.embedder.chunks)
    engine = RecordingEngine(open_engine(profile.engines[settings.engine]))
    batch = instantiate_rows(matches, windows, Instantiator(settings), engine, settings)
    return batch, engine.outcomes(matches, batch)


def _judge(workspace: Workspace, pairs: pl.DataFrame) -> dict[str, Outcome]:
    if pairs.is_empty():
        return {}
    settings = workspace.profile.judge
    engine = RecordingEngine(open_engine(workspace.profile.engines[settings.engine]))
    return engine.outcomes(pairs, judge_rows(pairs, Judge(settings), engine, settings))
