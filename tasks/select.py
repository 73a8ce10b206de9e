"""All queries of a corpus cleaned together: form, length, language, contamination, moderation, duplicates (paper 3.1).

One part per shard, in order, so that the earlier of two duplicates stays. Duplicates are looked for last: what a
duplicate is measured against has passed everything else. A killed process goes on after the last part; the texts of
finished parts enter the index of duplicates again.
Not covered: more queries than the index of duplicates has memory for (see `tasks.duplicates`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Literal

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.refusals import Refusal
from tasks.clean import check_length, clean_query
from tasks.decontaminate import Decontaminator, read_evaluation
from tasks.duplicates import DuplicateIndex
from tasks.inputs import list_files
from tasks.language import LanguageFilter
from tasks.moderation import open_moderator
from tasks.records import Part, Receipt, Scope, Selection, Shard
from tasks.refused import refused_frame, split
from tasks.retry import RETRY
from tasks.settings import Profile, QueriesSettings
from tasks.tables import QUERIES
from tasks.work import Batch, Job, part_record, read_rows, run
from tasks.workspace import Workspace, open_workspace

SelectReason = Literal[
    "too_short",
    "too_long",
    "language",
    "moderated",
    "unmoderated",
    "contaminated",
    "exact_duplicate",
    "near_duplicate",
]

Filter = Callable[[Sequence[str], Sequence[str]], list[Refusal | None]]
"""Ids and texts to a refusal with one of `SelectReason`, or None, per text."""


def select_rows(queries: pl.DataFrame, filters: Sequence[Filter]) -> Batch:
    """Clean queries (`QUERIES`) and pass them through filters, each seeing only what the ones before it kept."""
    cleaned = [clean_query(text) for text in queries["query"]]
    kept = queries.with_columns(pl.Series("query", cleaned, pl.String))
    refused = []
    for find in filters:
        kept, dropped = split(kept, find(kept["query_id"].to_list(), kept["query"].to_list()))
        refused.append(refused_frame(dropped.rename({"query_id": "id"})))
    return Batch(kept.match_to_schema(QUERIES), pl.concat(refused))


def row_filters(profile: Profile, cleanup: ExitStack) -> Iterator[Filter]:
    """The filters that look at one query at a time, the cheap ones first.

    Args:
        profile: Its settings for queries decide which there are.
        cleanup: Is told how to free the memory of models.

    Raises:
        UsageError: when evaluation files, languages or the moderator cannot work.
    """
    settings = profile.queries
    yield _by_text(partial(_check_lengths, settings=settings))
    if settings.languages:
        language = LanguageFilter(settings.languages, settings.min_language_confidence)
        cleanup.callback(language.close)
        yield _by_text(language)
    if settings.evaluation_files:
        rows = read_evaluation(settings, list_files(settings, settings.evaluation_files))
        yield _by_text(Decontaminator(rows, settings.ngram, settings.max_overlap))
    if moderator := open_moderator(settings.moderation, profile.engines):
        yield _by_text(moderator)


def _by_text(find: Callable[[Sequence[str]], list[Refusal | None]]) -> Filter:
    return lambda _, texts: find(texts)


def _check_lengths(texts: Sequence[str], settings: QueriesSettings) -> list[Refusal | None]:
    return [check_length(text, settings.min_characters, settings.max_characters) for text in texts]


def _find_duplicates(index: DuplicateIndex, ids: Sequence[str], texts: Sequence[str]) -> list[Refusal | None]:
    found = index.find(ids, texts)
    return [Refusal(duplicate.reason, duplicate.kept) if duplicate else None for duplicate in found]


def _batches(workspace: Workspace, job: Job, shards: Sequence[Shard], index: DuplicateIndex) -> Iterator[pl.DataFrame]:
    """The queries of each shard; a part that an earlier process made enters the index when it has been passed."""
    for number, shard in enumerate(shards):
        source = workspace.ingest_job("queries", shard.name, shard.key)
        receipt = workspace.store.read_record(source.receipt_name, Receipt)
        known = len(index)
        yield pl.concat(read_rows(workspace.store, source.folder, receipt))
        if len(index) == known:
            part = workspace.store.read_record(part_record(job.folder, number), Part)
            kept = workspace.store.read_frame(f"{job.folder}/{part.file}", ["query_id", "query"])
            index.find(kept["query_id"].to_list(), kept["query"].to_list())


@task(task_run_name="select-{scope.corpus}", cache_policy=NO_CACHE, **RETRY)
def select(scope: Scope, shards: tuple[Shard, ...]) -> Receipt:
    """Clean the queries of all shards together.

    Args:
        scope: Store, corpus and profile.
        shards: All shards of queries of the corpus; their order decides which duplicate stays.

    Raises:
        UsageError: when evaluation files, languages or the moderator cannot work.
        TransientError: when the moderator cannot be reached.
    """
    workspace = open_workspace(scope)
    job = workspace.select_job(shards)
    if (done := job.receipt()) is not None:
        return done
    index = DuplicateIndex(workspace.profile.queries.near_duplicate_similarity)
    with ExitStack() as cleanup:
        filters: list[Filter] = [*row_filters(workspace.profile, cleanup), partial(_find_duplicates, index)]
        return run(job, _batches(workspace, job, shards, index), partial(select_rows, filters=filters))


def selections(workspace: Workspace, shards: tuple[Shard, ...], receipt: Receipt) -> tuple[Selection, ...]:
    """What `mine` works on: the selected queries of each shard."""
    folder = workspace.select_job(shards).folder
    return tuple(
        Selection(shard=shard.name, folder=folder, number=part.number, digest=part.digest, rows=part.rows)
        for shard, part in zip(shards, receipt.parts, strict=True)
    )
