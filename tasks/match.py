"""Documents to the templates they can answer (paper 3.2, 4.2).

Each document gives K+1 vectors. What the bank's index proposes for them is re-scored exactly and cut at the threshold;
of what is left, up to six templates are drawn so that simple and complex ones come as in the reference queries.
The draw is seeded by the document's id and looks at its neighbours in the bank's order, not in that of their cosines,
so that rounding, which differs between machines and batches, does not change it.
Documents without a match are rejected as `no_match`, with the nearest template they missed.
Not covered: whether the template really fits; that is the instantiator's to say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

import numpy as np
import polars as pl
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.digests import digest
from models.embedder import Embedder, open_embedder
from models.errors import ShardError
from tasks.bank import LoadedBank, open_bank
from tasks.neighbours import Floats, Ids
from tasks.records import Receipt, Scope, Shard
from tasks.retry import RETRY
from tasks.settings import MatchSettings
from tasks.tables import DOCUMENTS, MATCHES, REJECTED
from tasks.work import Batch, read_rows, run, slices
from tasks.workspace import Workspace, open_workspace

MAX_COMPLEXITY = 10
"""Templates with this many slots or more count as one class ("10+", paper 3.2)."""

SHOWN_CHARACTERS = 160


def sampling_weights(bank: Mapping[int, int], reference: Mapping[int, int]) -> dict[int, float]:
    """Weight of a template in the draw by its complexity, 1 to `MAX_COMPLEXITY`: P_reference(c) / P_bank(c).

    With these weights the templates drawn from the bank have the reference's complexities (paper 3.2 says so much and
    leaves the formula open). One template is added to every class on both sides, so that a class which the reference
    happens to lack is unlikely instead of impossible, and equal histograms give equal weights.

    Args:
        bank: Complexity to templates, of the bank.
        reference: The same of the templates that real queries to language models gave.
    """
    classes = range(1, MAX_COMPLEXITY + 1)
    ours, theirs = _capped(bank), _capped(reference)
    ours_total, theirs_total = (sum(side.values()) + len(classes) for side in (ours, theirs))
    return {c: ((theirs[c] + 1) / theirs_total) / ((ours[c] + 1) / ours_total) for c in classes}


def _capped(histogram: Mapping[int, int]) -> dict[int, int]:
    counts = dict.fromkeys(range(1, MAX_COMPLEXITY + 1), 0)
    for complexity, templates in histogram.items():
        counts[_class(complexity)] += templates
    return counts


def _class(complexity: int) -> int:
    return min(max(complexity, 1), MAX_COMPLEXITY)


@dataclass(frozen=True)
class Match:
    """A template of the bank (its row) for a document, the chunk that found it best, and their exact cosine."""

    row: int
    chunk: int
    similarity: float


def choose(document_id: str, rows: Ids, cosines: Floats, weights: Floats, settings: MatchSettings) -> list[Match]:
    """Draw a document's templates.

    Every embedding in turn, in random order, draws one of its own neighbours; what is then still missing is drawn
    from all neighbours together. No template is drawn twice, none under the threshold.

    Args:
        document_id: Seeds the draw, together with `settings.seed`.
        rows: Template rows, `[K+1, C]`; -1 where there are fewer neighbours.
        cosines: Their exact cosines, `[K+1, C]`.
        weights: Weight of each of these templates in the draw, `[K+1, C]`.
        settings: Threshold, number of templates, seed.

    Returns:
        Up to `settings.templates_per_document` matches, by chunk, the nearest first.
    """
    random = Random(digest(settings.seed, document_id))
    passing = (rows >= 0) & (cosines >= settings.threshold)
    own = [
        dict(sorted(zip(rows[chunk][mask].tolist(), weights[chunk][mask].tolist(), strict=True)))
        for chunk, mask in enumerate(passing)
    ]
    drawn: list[int] = []
    for pool in random.sample(own, len(own)):
        drawn += _draw(random, pool, drawn, min(1, settings.templates_per_document - len(drawn)))
    together = dict(sorted((row, weight) for pool in own for row, weight in pool.items()))
    drawn += _draw(random, together, drawn, settings.templates_per_document - len(drawn))
    cosines = np.where(passing, cosines, -np.inf)
    matches = [_best(row, rows, cosines) for row in drawn]
    return sorted(matches, key=lambda match: (match.chunk, -match.similarity, match.row))


def _draw(random: Random, pool: Mapping[int, float], taken: list[int], count: int) -> list[int]:
    """Up to `count` different rows of a pool, those taken left out, one after another in proportion to weight."""
    left = {row: weight for row, weight in pool.items() if row not in taken}
    drawn = []
    for _ in range(min(count, len(left))):
        (row,) = random.choices(list(left), list(left.values()))
        drawn.append(row)
        del left[row]
    return drawn


def _best(row: int, rows: Ids, cosines: Floats) -> Match:
    here = np.where(rows == row, cosines, -np.inf)
    chunk, place = np.unravel_index(int(here.argmax()), here.shape)
    return Match(row, int(chunk), float(here[chunk, place]))


def match_rows(documents: pl.DataFrame, bank: LoadedBank, embedder: Embedder, settings: MatchSettings) -> Batch:
    """Match documents (schema `DOCUMENTS`) to templates; the rows are `MATCHES`, by document."""
    embedded = embedder.embed_documents(documents["text"].to_list())
    found = bank.neighbours.search(embedded.reshape(-1, embedded.shape[-1]), settings.candidates)
    rows, cosines = (side.reshape(*embedded.shape[:2], -1) for side in found)
    weights = _weights(bank)[np.maximum(rows, 0)]
    chosen = [
        choose(document_id, rows[number], cosines[number], weights[number], settings)
        for number, document_id in enumerate(documents["document_id"])
    ]
    unmatched = [number for number, matches in enumerate(chosen) if not matches]
    nearest = {number: _best_of(rows[number], cosines[number]) for number in unmatched}
    return Batch(
        _matches(documents, chosen, bank),
        _no_match(documents, nearest, bank, settings),
        rows_out=len(documents) - len(unmatched),
    )


def _weights(bank: LoadedBank) -> NDArray[np.float32]:
    """Weight of every template of the bank, `[templates]`."""
    by_class = sampling_weights(bank.bank.complexity, bank.bank.reference_complexity)
    complexities = bank.templates["complexity"].to_numpy().clip(1, MAX_COMPLEXITY)
    weights: NDArray[np.float32] = np.array([0.0, *by_class.values()], dtype=np.float32)[complexities]
    return weights


def _best_of(rows: Ids, cosines: Floats) -> Match:
    return _best(int(rows.flat[cosines.argmax()]), rows, cosines)


def _take(frame: pl.DataFrame, rows: list[int]) -> pl.DataFrame:
    return frame.select(pl.all().gather(pl.Series(rows, dtype=pl.Int64)))


def _matches(documents: pl.DataFrame, chosen: list[list[Match]], bank: LoadedBank) -> pl.DataFrame:
    flat = [(number, match) for number, matches in enumerate(chosen) for match in matches]
    of_document = _take(documents.drop("text", "token_count"), [number for number, _ in flat])
    named = bank.templates.select("template_id", "template", "template_source")
    of_template = _take(named, [match.row for _, match in flat])
    joined = pl.concat([of_document, of_template], how="horizontal").with_columns(
        pl.Series("chunk", [match.chunk for _, match in flat], pl.Int64),
        pl.Series("similarity", [match.similarity for _, match in flat], pl.Float64),
    )
    identity = joined.select("document_url", "document_id", "template_id").iter_rows()
    pair_ids = pl.Series("pair_id", [digest(*parts) for parts in identity], pl.String)
    return joined.with_columns(pair_ids).match_to_schema(MATCHES)


def _no_match(
    documents: pl.DataFrame, nearest: dict[int, Match], bank: LoadedBank, settings: MatchSettings
) -> pl.DataFrame:
    templates = bank.templates["template"].gather([match.row for match in nearest.values()])
    details = [
        f"nearest {match.similarity:.3f}, threshold {settings.threshold}: {template[:SHOWN_CHARACTERS]}"
        for match, template in zip(nearest.values(), templates, strict=True)
    ]
    names = {"document_id": "id", "document_url": "url", "document_row": "row"}
    return _take(documents, list(nearest)).rename(names).select(
        "id",
        "url",
        "row",
        pl.lit("rejected").alias("kind"),
        pl.lit("no_match").alias("reason"),
        pl.Series("detail", details, pl.String),
        pl.lit(None, pl.String).alias("raw"),
        pl.lit(0, pl.Int64).alias("attempts"),
    ).match_to_schema(REJECTED)  # fmt: skip


def _documents(workspace: Workspace, shard: Shard) -> Iterator[pl.DataFrame]:
    job = workspace.ingest_job("documents", shard.name, shard.key)
    if (receipt := job.receipt()) is None:
        raise ShardError(
            f"shard {shard.name} has no ingest receipt ({job.receipt_name} in {workspace.scope.store}); "
            f"run `fineinstructions ingest` on {shard.file.url}"
        )
    return read_rows(workspace.store, job.folder, receipt, DOCUMENTS.names())


@task(task_run_name="match-{shard.name}", cache_policy=NO_CACHE, **RETRY)
def match(scope: Scope, shard: Shard) -> Receipt:
    """Match the documents of one shard; no model is loaded when that is done already.

    Args:
        scope: Store, corpus, profile and bank version.
        shard: A shard of documents that has been read in.

    Raises:
        UsageError: when there is no bank, or another embedder made it.
        ShardError: when the shard has not been read in.
    """
    workspace = open_workspace(scope)
    job, settings = workspace.match_job(shard), workspace.profile.match
    if (done := job.receipt()) is not None:
        return done
    # The current bank may have changed since the key was made.
    _, version = job.inputs

    def process(documents: pl.DataFrame) -> Batch:
        bank, embedder = open_bank(workspace.store, version), open_embedder(workspace.profile.embedder)
        return match_rows(documents, bank, embedder, settings)

    frames = _documents(workspace, shard)
    return run(job, (rows for frame in frames for rows in slices(frame, settings.part_rows)), process)
