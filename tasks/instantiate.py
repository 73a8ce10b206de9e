"""Matches to pairs: slots filled, answers taken from the document (paper 3.3).

Requests go out document by document, and window by window inside a document, so that the engine's prefix cache serves
what they have in common. A document over the token budget is shown as the window around the chunk that matched; spans
stay those of the whole document. Every match ends as a pair, or as a rejected or failed row with the raw completion.
Not covered: whether a pair is any good, which `judge` says.
"""

from dataclasses import asdict
from itertools import groupby
from operator import itemgetter

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.engine import Completion, Engine
from models.engines import open_engine
from models.errors import ShardError
from models.instantiator import Instantiated, Instantiator
from models.refusals import Refusal
from models.sentences import Span
from models.settings import InstantiatorSettings
from models.tokens import Tokenizer
from models.windows import choose_window
from tasks.asking import ask_rows
from tasks.records import Receipt, Scope, Shard
from tasks.retry import RETRY
from tasks.tables import PAIRS
from tasks.work import Batch, read_rows, run, slices
from tasks.workspace import Workspace, open_workspace


def with_documents(matches: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """Matches (`MATCHES`) with `text` and `token_count` of their documents, in the order in which they are asked.

    Args:
        matches: Matches; those without a document are left out.
        documents: At least `document_id`, `text` and `token_count`.
    """
    texts = documents.select("document_id", "text", "token_count")
    joined = matches.join(texts, on="document_id", validate="m:1")
    return joined.sort("document_row", "document_id", "chunk", "template_id")


def choose_windows(matches: pl.DataFrame, tokenizer: Tokenizer, budget: int, chunks: int) -> list[Span]:
    """The (start, end) characters of the document that each match is shown.

    Args:
        matches: `text`, its `token_count`, and `chunk`; the matches of a document one after the other.
        tokenizer: What `token_count` was counted with.
        budget: Most tokens of a window.
        chunks: K; chunk k lies at k / (K + 1) of a document, chunk 0 means the whole (paper App. B).
    """
    windows: list[Span] = []
    rows = matches.select("text", "token_count", "chunk").iter_rows()
    for (text, token_count), group in groupby(rows, key=itemgetter(0, 1)):
        offsets = tokenizer.offsets(text) if token_count > budget else []
        windows += [choose_window(text, offsets, budget, chunk / (chunks + 1)) for _, _, chunk in group]
    return windows


def instantiate_rows(
    matches: pl.DataFrame,
    windows: list[Span],
    instantiator: Instantiator,
    engine: Engine,
    settings: InstantiatorSettings,
) -> Batch:
    """Ask for a pair of each match, check it, and give back `PAIRS`.

    Args:
        matches: From `with_documents`.
        windows: One per match.
        instantiator: Asks and reads.
        engine: Answers.
        settings: Those of the instantiator.

    Raises:
        TransientError: when the engine is gone or cannot be reached.
        ShardError: when too many requests fail.
    """
    templates, texts = matches["template"].to_list(), matches["text"].to_list()

    def read(place: int, completion: Completion) -> Instantiated | Refusal:
        return instantiator.read(templates[place], texts[place], windows[place], completion)

    requests = [
        instantiator.request(pair_id, template, text, window)
        for pair_id, template, text, window in zip(matches["pair_id"], templates, texts, windows, strict=True)
    ]
    asked = ask_rows(engine, requests, read, settings)
    kept, pairs = asked.accepted(matches.drop("text", "token_count"))
    made = kept.with_columns(
        pl.Series("instruction", [pair.instruction for pair in pairs], pl.String),
        pl.Series("answer", [pair.answer for pair in pairs], pl.String),
        pl.Series("slots", [list(pair.slots) for pair in pairs], PAIRS["slots"]),
        pl.Series("excerpts", [[asdict(span) for span in pair.excerpts] for pair in pairs], PAIRS["excerpts"]),
        pl.Series("excerpt_share", [pair.excerpt_share for pair in pairs], pl.Float64),
        pl.lit(instantiator.prompt_digest).alias("prompt_digest"),
        # Each re-ask has a seed of its own, the next one.
        (settings.sampling.seed + pl.col("attempts") - 1).alias("seed"),
    )
    names = {"pair_id": "id", "document_url": "url", "document_row": "row"}
    return Batch(made.match_to_schema(PAIRS), asked.refused(matches.rename(names)), asked.tokens)


def read_matches(workspace: Workspace, shard: Shard) -> pl.DataFrame:
    """The matches of a shard that has been matched, as `with_documents` gives them; no columns when there are none.

    Raises:
        ShardError: when the document of a match is not there.
    """
    store = workspace.store
    matched, ingested = workspace.match_job(shard), workspace.ingest_job("documents", shard.name, shard.key)
    frames = {
        job.stage: list(read_rows(store, job.folder, store.read_record(job.receipt_name, Receipt)))
        for job in (matched, ingested)
    }
    if not frames["match"]:
        return pl.DataFrame()
    matches, documents = pl.concat(frames["match"]), pl.concat(frames["ingest"])
    lost = matches.join(documents, on="document_id", how="anti")
    if not lost.is_empty():
        raise ShardError(
            f"the matches of shard {shard.name} name a document {lost['document_id'][0]!r} that it does not have; make "
            f"them again: fineinstructions rerun --stage match --shard {shard.name} --force"
        )
    return with_documents(matches, documents)


@task(task_run_name="instantiate-{shard.name}", cache_policy=NO_CACHE, **RETRY)
def instantiate(scope: Scope, shard: Shard) -> Receipt:
    """Instantiate the matches of one shard; no engine is opened when that is done already.

    Args:
        scope: Store, corpus, profile and bank version.
        shard: A shard of documents that has been matched.

    Raises:
        TransientError: when the engine is gone or cannot be reached.
        ShardError: when too many requests fail.
    """
    workspace = open_workspace(scope)
    profile, job = workspace.profile, workspace.instantiate_job(shard)
    if (done := job.receipt()) is not None:
        return done
    settings = profile.instantiator
    instantiator, tokenizer = Instantiator(settings), workspace.open_tokenizer()

    def process(matches: pl.DataFrame) -> Batch:
        windows = choose_windows(matches, tokenizer, settings.document_tokens, profile.embedder.chunks)
        return instantiate_rows(matches, windows, instantiator, open_engine(profile.engines[settings.engine]), settings)

    return run(job, slices(read_matches(workspace, shard), profile.part_requests), process)
