"""Templates to a version of the template bank (paper 3.1, 3.2).

Identical templates are merged, keeping all their sources; descriptions are embedded, those of earlier versions made
with the same embedder not again; a usearch index goes over them, and its recall is measured.
The bank grows in parts: a part's record is written after its templates and vectors, so a killed build goes on after
the last whole part. `bank.json` is written when everything is there, `bank/current.json` after it.
Not covered: vectors of earlier versions of another store.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.digests import digest
from models.embedder import open_embedder
from models.errors import UsageError
from tasks.bank import read_vectors, templates_folder, write_index, write_vectors
from tasks.known import DESCRIPTION, Embed, find_known
from tasks.neighbours import Neighbours, build_index, measure_recall, stored_dtype
from tasks.progress import advance
from tasks.records import Bank, CurrentBank, Part, Scope, Selection
from tasks.retry import RETRY
from tasks.settings import IndexSettings
from tasks.tables import BANK, REJECTED, TEMPLATES
from tasks.work import Batch, Job, finish, part_record, publish, read_rows
from tasks.workspace import Workspace, open_workspace

logger = logging.getLogger(__name__)

PART_TEMPLATES = 8192


def merge(templates: pl.DataFrame) -> Batch:
    """Make one row of identical templates (schema `TEMPLATES` to `BANK`), in order of first appearance.

    The first one's description stays; the other rows are rejected as `merged`, their detail being the template's id.
    """
    template_id = pl.col("template").map_elements(digest, return_dtype=pl.String).alias("template_id")
    grouped = templates.group_by("template", maintain_order=True).agg(
        pl.col(DESCRIPTION, "complexity").first(),
        pl.col("source").first().alias("template_source"),
        pl.col("source").unique(maintain_order=True).alias("sources"),
        pl.col("query_id").alias("query_ids"),
        pl.len().cast(pl.Int64).alias("query_count"),
    )
    repeated = templates.filter(~pl.col("template").is_first_distinct()).select(
        pl.col("query_id").alias("id"),
        "url",
        "row",
        pl.lit("rejected").alias("kind"),
        pl.lit("merged").alias("reason"),
        template_id.alias("detail"),
        pl.lit(None, pl.String).alias("raw"),
        pl.lit(0, pl.Int64).alias("attempts"),
    )
    return Batch(grouped.with_columns(template_id).select(BANK.names()), repeated.match_to_schema(REJECTED))


def complexity_histogram(bank: pl.DataFrame, sources: Sequence[str] = ()) -> dict[int, int]:
    """Slots per template to number of templates, of some sources or of all (schema `BANK`)."""
    wanted = pl.col("sources").list.eval(pl.element().is_in(sources)).list.any() if sources else pl.lit(True)
    return dict(bank.filter(wanted).group_by("complexity").len().sort("complexity").iter_rows())


def in_parts(templates: pl.DataFrame) -> list[pl.DataFrame]:
    """Cut templates into parts of `PART_TEMPLATES` different ones; identical templates share a part."""
    first = templates.select("template").unique(maintain_order=True).with_row_index("part")
    numbered = templates.join(first, on="template", how="left", maintain_order="left")
    return numbered.with_columns(pl.col("part") // PART_TEMPLATES).partition_by(
        "part", maintain_order=True, include_key=False
    )


def build(workspace: Workspace, job: Job, templates: pl.DataFrame, embed: Embed) -> Bank:
    """Bring a version of the bank to its `bank.json`, making only the parts that are missing.

    Args:
        workspace: Its store and profile.
        job: The index job of the selections that the templates come from.
        templates: All of them, schema `TEMPLATES`; at least one.
        embed: Makes the vectors.
    """
    store, settings, version = job.store, workspace.profile.index, job.folder.rpartition("/")[2]
    with TemporaryDirectory(prefix="fineinstructions-bank-", ignore_cleanup_errors=True) as copies:
        known = find_known(store, workspace.embedder_digest, stored_dtype(settings), Path(copies))
        vectors_of = partial(known.vectors_of, embed=embed)
        job_of_parts = replace(job, folder=templates_folder(version))
        parts = tuple(_part(job_of_parts, number, rows, vectors_of) for number, rows in enumerate(in_parts(templates)))
        vectors = read_vectors(store, version, len(parts), Path(copies))
        graph = build_index(vectors, settings)
        write_index(store, version, graph, settings)
        recalled = measure_recall(Neighbours(vectors, graph), settings.recall_sample)
    receipt = finish(job, parts)
    rows = pl.concat(read_rows(store, templates_folder(version), receipt, ["complexity", "sources"]))
    bank = Bank(
        version=version,
        dimensions=vectors.dimensions,
        recall_at_10=round(recalled, 4),
        embedder=workspace.identity("embedder"),
        embedder_digest=workspace.embedder_digest,
        genericizer=workspace.identity("genericizer"),
        **_statistics(rows, settings),
    )
    store.write_record(f"{job.folder}/bank.json", bank)
    return bank


def _statistics(bank: pl.DataFrame, settings: IndexSettings) -> dict[str, Any]:
    """What a bank's record says of its templates."""
    reference = _reference_sources(settings, bank)
    return {
        "templates": len(bank),
        "complexity": complexity_histogram(bank),
        "reference_complexity": complexity_histogram(bank, reference),
        "reference_sources": reference,
        "sources": dict(sorted(bank["sources"].explode().value_counts().iter_rows())),
    }


def _part(job: Job, number: int, rows: pl.DataFrame, vectors_of: Callable[[pl.DataFrame], NDArray[Any]]) -> Part:
    """A part of the bank, new or found; its record vouches for its vectors too."""
    name = part_record(job.folder, number)
    if job.store.exists(name):
        part = job.store.read_record(name, Part)
    else:
        started = time.monotonic()
        batch = merge(rows)
        write_vectors(job.store, job.folder.split("/")[1], number, vectors_of(batch.kept))
        part = publish(job, number, batch, len(rows), time.monotonic() - started)
    advance(job.stage, part.counts.rows_in)
    return part


def _reference_sources(settings: IndexSettings, bank: pl.DataFrame) -> tuple[str, ...]:
    present = set(bank["sources"].explode())
    reference = tuple(source for source in settings.reference_sources if source in present)
    if settings.reference_sources and not reference:
        logger.warning(
            "index.reference_sources names %s, but the templates come from %s: templates will be drawn without "
            "regard to their complexity; name sources of these queries to have it otherwise",
            ", ".join(settings.reference_sources),
            ", ".join(sorted(present)),
        )
    return reference


def read_templates(workspace: Workspace, selections: tuple[Selection, ...]) -> pl.DataFrame:
    """All mined templates of some selections, schema `TEMPLATES`.

    Raises:
        UsageError: when a selection has not been mined, or no query of them has become a template.
    """
    frames = [TEMPLATES.to_frame()]
    for selection in selections:
        job = workspace.mine_job(selection)
        if (receipt := job.receipt()) is None:
            raise UsageError(f"the queries of shard {selection.shard} are not mined; run `fineinstructions mine`")
        frames += read_rows(workspace.store, job.folder, receipt)
    templates = pl.concat(frames)
    if not len(templates):
        queries = sum(selection.rows for selection in selections)
        raise UsageError(
            f"a bank needs templates, but none of {queries} selected queries became one; the receipts of the stages "
            f"select and mine of corpus {workspace.scope.corpus!r} count the reasons"
        )
    return templates


def current_bank(scope: Scope) -> Bank:
    """The version that a scope is pinned to, or the current one.

    Raises:
        UsageError: when there is none, or another embedder made it.
    """
    return open_workspace(scope).bank


@task(task_run_name="index-{scope.corpus}", cache_policy=NO_CACHE, **RETRY)
def index(scope: Scope, selections: tuple[Selection, ...]) -> Bank:
    """Publish the bank of all templates of some selections and make it the current one.

    Args:
        scope: Store, corpus and profile.
        selections: Mined selections; the same ones give the same version, which is then not built again.

    Raises:
        UsageError: when there are no templates.
    """
    workspace = open_workspace(scope)
    job, store = workspace.index_job(selections), workspace.store
    name, embedder = f"{job.folder}/bank.json", workspace.profile.embedder
    if store.exists(name):
        bank = store.read_record(name, Bank)
    else:
        templates = read_templates(workspace, selections)
        bank = build(workspace, job, templates, lambda texts: open_embedder(embedder).embed_texts(texts))
    store.write_record("bank/current.json", CurrentBank(version=bank.version))
    return bank
