"""How a stage does its work on a shard: in parts, resumable, receipt last.

A part is published as `part-N-<digest>.parquet`, `rejected-N-<digest>.parquet` and, last, `part-N.json` with its
counts: what has that record is never made again, what lacks it is made anew. A killed process therefore loses the part
it was in. Where the size of parts has been changed in between, the parts from the first one of another size on are made
anew. The receipt names all parts and is written when every part is there. Its counts are checked (`Counts`), so a row
cannot get lost or doubled in silence.
Two workers on one shard may get different answers of a model. Their files have different names, and the receipt that is
there first counts for both: each part it names is whole and one worker's, whatever the other one writes.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import polars as pl
from pydantic import ValidationError

from models.digests import digest_bytes
from models.errors import ShardError
from tasks.progress import advance
from tasks.records import Counts, Failure, Part, Receipt, Stage, Tokens
from tasks.storage import Store, as_json, as_parquet
from tasks.tables import REJECTED

ATTEMPTS = 3
"""Failures of one stage on one shard after which it is quarantined until `rerun` names it."""


@dataclass(frozen=True)
class Batch:
    """What a stage made of some rows; both halves.

    `kept` is the stage's table, `rejected` has the schema `REJECTED`, `rows_out` counts the input rows that came
    through (None: as many as `kept` has).
    """

    kept: pl.DataFrame
    rejected: pl.DataFrame
    tokens: Tokens = Tokens()
    rows_out: int | None = None

    def counts(self, rows_in: int) -> Counts:
        """Reconciled counts for `rows_in` input rows.

        Raises:
            ValidationError: when they do not reconcile.
        """
        return Counts(
            rows_in=rows_in,
            rows_out=len(self.kept) if self.rows_out is None else self.rows_out,
            rejected=_tally(self.rejected, "rejected"),
            failed=_tally(self.rejected, "failed"),
        )


def _tally(rejected: pl.DataFrame, kind: str) -> dict[str, int]:
    reasons = rejected.filter(pl.col("kind") == kind).group_by("reason").len().sort("reason")
    return dict(reasons.iter_rows())


@dataclass(frozen=True)
class Job:
    """One stage on one shard: where its results go and what they were made from."""

    store: Store
    stage: Stage
    shard: str
    folder: str
    key: str
    inputs: tuple[str, ...] = ()
    models: dict[str, str] = field(default_factory=dict)
    prompt_digest: str = ""

    @property
    def receipt_name(self) -> str:
        """Name of the receipt in the store."""
        return f"{self.folder}/receipt.json"

    def receipt(self) -> Receipt | None:
        """The receipt, or None while the work is not done."""
        return self.store.read_record(self.receipt_name, Receipt) if self.store.exists(self.receipt_name) else None


def slices(rows: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Consecutive slices of at most `size` rows; none for an empty frame."""
    return rows.iter_slices(size) if len(rows) else iter(())


def run(job: Job, batches: Iterable[pl.DataFrame], process: Callable[[pl.DataFrame], Batch]) -> Receipt:
    """Bring a job to its receipt, making only the parts that are missing.

    Args:
        job: What to do and where.
        batches: The input rows, in the same order every time.
        process: Makes one part of one batch; pure as far as the store is concerned.

    Returns:
        The receipt, new or found.
    """
    if (done := job.receipt()) is not None:
        return done
    return finish(job, tuple(_part(job, number, rows, process) for number, rows in enumerate(batches)))


def finish(job: Job, parts: tuple[Part, ...]) -> Receipt:
    """Write the receipt of a job whose parts are all there; another worker's, if it was there first."""
    receipt = Receipt(
        stage=job.stage,
        shard=job.shard,
        key=job.key,
        inputs=job.inputs,
        models=job.models,
        prompt_digest=job.prompt_digest,
        counts=sum((part.counts for part in parts), Counts()),
        rows=sum(part.rows for part in parts),
        tokens=sum((part.tokens for part in parts), Tokens()),
        seconds=round(sum(part.seconds for part in parts), 3),
        parts=parts,
    )
    if job.store.create(job.receipt_name, as_json(receipt)):
        return receipt
    return job.store.read_record(job.receipt_name, Receipt)


def _part(job: Job, number: int, rows: pl.DataFrame, process: Callable[[pl.DataFrame], Batch]) -> Part:
    part = _made_part(job, number, len(rows))
    if part is None:
        started = time.monotonic()
        batch = process(rows)
        part = publish(job, number, batch, len(rows), time.monotonic() - started)
    advance(job.stage, part.counts.rows_in)
    return part


def _made_part(job: Job, number: int, rows_in: int) -> Part | None:
    """The part that an earlier process made of these rows, if any; all before it were made of the rows before."""
    record = part_record(job.folder, number)
    if not job.store.exists(record):
        return None
    part = job.store.read_record(record, Part)
    if part.counts.rows_in == rows_in:
        return part
    later = [name for name in job.store.find(job.folder) if name.endswith(".json") and "/part-" in name]
    # From the last to this one: a kill in between leaves this one, which is then found to differ again.
    for name in reversed([name for name in later if name >= record]):
        job.store.delete(name)
    return None


def publish(job: Job, number: int, batch: Batch, rows_in: int, seconds: float) -> Part:
    """Write one part: its rejected rows, its rows, and last its record.

    Raises:
        ShardError: when rows were lost or doubled.
    """
    try:
        counts = batch.counts(rows_in)
    except ValidationError as error:
        raise ShardError(f"{job.stage} of shard {job.shard}, part {number}: {error.errors()[0]['msg']}") from error
    kept, rejected = as_parquet(batch.kept), as_parquet(batch.rejected)
    part = Part(
        number=number,
        rows=len(batch.kept),
        digest=digest_bytes(kept),
        rejected_digest=digest_bytes(rejected) if len(batch.rejected) else "",
        counts=counts,
        tokens=batch.tokens,
        seconds=round(seconds, 3),
    )
    if part.rejected_digest:
        job.store.write(f"{job.folder}/{part.rejected_file}", rejected)
    job.store.write(f"{job.folder}/{part.file}", kept)
    job.store.write_record(part_record(job.folder, number), part)
    return part


def part_record(folder: str, number: int) -> str:
    """Name of the record of a part; it vouches for the part's files."""
    return f"{folder}/part-{number:05d}.json"


def read_rows(store: Store, folder: str, receipt: Receipt, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """The part frames that a receipt names, in order."""
    for part in receipt.parts:
        yield store.read_frame(f"{folder}/{part.file}", columns)


def read_rejected(store: Store, folder: str, receipt: Receipt) -> pl.DataFrame:
    """All rejected and failed rows that a receipt counts."""
    frames = [store.read_frame(f"{folder}/{part.rejected_file}") for part in receipt.parts if part.rejected_digest]
    return pl.concat(frames) if frames else REJECTED.to_frame()


def record_failure(job: Job, error: BaseException) -> None:
    """Remember a failed attempt, so that a poison shard ends in quarantine."""
    failure = Failure(
        stage=job.stage, shard=job.shard, key=job.key, error=type(error).__name__, message=str(error)[:2000]
    )
    earlier = sum("/failure-" in name for name in job.store.find(job.folder))
    job.store.write_record(f"{job.folder}/failure-{earlier + 1:03d}.json", failure)
