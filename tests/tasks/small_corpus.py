"""A corpus of documents recorded by hand: what is done with its shards is for the test to say; no model is asked."""

from collections.abc import Iterable

from models.errors import ShardError
from tasks.plan import ShardStage, corpus_name
from tasks.records import Corpus, Counts, Kind, Manifest, Receipt, Shard, Tokens
from tasks.work import record_failure
from tasks.workspace import Workspace, open_workspace
from tests.tasks import small_store
from tests.tasks.small_store import BEES, CATS


def recorded(shards: int, *overrides: str, url: str = "") -> tuple[Workspace, tuple[Shard, ...]]:
    """A store with a bank and a corpus of so many shards of two documents each; nothing is matched yet."""
    workspace = open_workspace(small_store.scope_of(url or small_store.memory(), *overrides))
    small_store.publish_bank(workspace)
    record(workspace, "queries", [f"{workspace.manifest_folder('queries')}/m1.json"])
    texts = {"bees": BEES, "cats": CATS}
    made = tuple(small_store.ingest(workspace, number, texts) for number in range(shards))
    record(workspace, "documents", [manifest(workspace, shard) for shard in made])
    return workspace.pinned(), made


def manifest(workspace: Workspace, *shards: Shard) -> str:
    """Record an input file that became these shards; the name of its manifest."""
    counts = Counts(rows_in=sum(shard.rows for shard in shards), rows_out=sum(shard.rows for shard in shards))
    name = f"{workspace.manifest_folder('documents')}/{shards[0].name}.json"
    found = Manifest(file=shards[0].file, kind="documents", key=shards[0].key, shards=shards, counts=counts)
    workspace.store.write_record(name, found)
    return name


def record(workspace: Workspace, kind: Kind, manifests: Iterable[str]) -> None:
    """Record what the corpus consists of."""
    found = Corpus(kind=kind, urls=("input",), manifests=tuple(manifests))
    workspace.store.write_record(corpus_name(workspace, kind), found)


def finish(
    workspace: Workspace,
    shard: Shard,
    *stages: ShardStage,
    rows_in: int = 2,
    rows: int = 2,
    seconds: float = 4.0,
    tokens: Tokens = Tokens(prompt=60, output=20),
) -> None:
    """Write a part and the receipt of these stages."""
    for stage in stages:
        job = workspace.job(stage, shard)
        receipt = Receipt(
            stage=stage,
            shard=shard.name,
            key=job.key,
            counts=Counts(rows_in=rows_in, rows_out=rows_in),
            rows=rows,
            seconds=seconds,
            tokens=tokens,
        )
        workspace.store.write(f"{job.folder}/part-00000-0.parquet", b"rows")
        workspace.store.write_record(job.receipt_name, receipt)


def fail(workspace: Workspace, shard: Shard, stage: ShardStage, times: int = 1) -> None:
    """Record failed attempts, each with a message of its own."""
    for attempt in range(times):
        record_failure(workspace.job(stage, shard), ShardError(f"attempt {attempt + 1} on {shard.name}"))
