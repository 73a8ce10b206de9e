"""What is done and what is pending: set differences on one listing of the store, nothing else.

Covers the stages that work shard by shard on documents (match, instantiate, judge). Read-only; no model is loaded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from models.errors import UsageError
from tasks.records import Corpus, Failure, Kind, Manifest, Receipt, Scope, Shard
from tasks.work import ATTEMPTS, Job
from tasks.workspace import Workspace, open_workspace

State = Literal["done", "pending", "failed", "quarantined", "waiting"]
ShardStage = Literal["match", "instantiate", "judge"]
SHARD_STAGES: tuple[ShardStage, ...] = get_args(ShardStage)


def corpus_name(workspace: Workspace, kind: Kind) -> str:
    """Name of the corpus record in the store."""
    return f"corpora/{workspace.scope.corpus}/{kind}.json"


def read_corpus(workspace: Workspace, kind: Kind) -> Corpus:
    """The corpus as of the last listing.

    Raises:
        UsageError: when nothing of this kind was ever ingested.
    """
    try:
        return workspace.store.read_record(corpus_name(workspace, kind), Corpus)
    except FileNotFoundError as error:
        command = "ingest --documents URL" if kind == "documents" else "mine --queries URL"
        raise UsageError(
            f"store {workspace.store.url!r} has no {kind} of a corpus {workspace.scope.corpus!r}; "
            f"run `fineinstructions {command}` first"
        ) from error


def read_shards(workspace: Workspace, kind: Kind) -> tuple[Shard, ...]:
    """All shards of the corpus as of the last listing, in the order of files and rows."""
    manifests = workspace.store.read_records(list(read_corpus(workspace, kind).manifests), Manifest)
    return tuple(shard for manifest in manifests for shard in manifest.shards)


def query_shards(scope: Scope) -> tuple[Shard, ...]:
    """All shards of queries of the corpus as of the last listing."""
    return read_shards(open_workspace(scope), "queries")


def document_shards(scope: Scope) -> tuple[Shard, ...]:
    """All shards of documents of the corpus as of the last listing."""
    return read_shards(open_workspace(scope), "documents")


def find_shards(scope: Scope, names: tuple[str, ...]) -> tuple[Shard, ...]:
    """The document shards of these names, in the order of the corpus.

    Raises:
        UsageError: when the corpus has no shard of a name.
    """
    shards = tuple(shard for shard in document_shards(scope) if shard.name in set(names))
    if missing := set(names) - {shard.name for shard in shards}:
        raise UsageError(f"corpus {scope.corpus!r} has no shard {', '.join(sorted(missing))}")
    return shards


def open_shards(scope: Scope, stage: ShardStage) -> tuple[Shard, ...]:
    """The document shards that a stage can work on now: not done, not in quarantine, the stage before done."""
    workspace = open_workspace(scope)
    return survey(workspace, document_shards(scope)).in_state(stage, "pending", "failed")


def input_rows(scope: Scope, stage: ShardStage, shards: tuple[Shard, ...]) -> int:
    """Input rows of a stage on shards whose earlier stages are done."""
    if stage == "match":
        return sum(shard.rows for shard in shards)
    workspace, earlier = open_workspace(scope), SHARD_STAGES[SHARD_STAGES.index(stage) - 1]
    names = [workspace.job(earlier, shard).receipt_name for shard in shards]
    return sum(receipt.rows for receipt in workspace.store.read_records(names, Receipt))


def state_of(job: Job, names: frozenset[str]) -> State:
    """State of one job, from the names that a listing found; `waiting` is for the caller to find."""
    if job.receipt_name in names:
        return "done"
    failures = len(failure_names(job, names))
    if failures >= ATTEMPTS:
        return "quarantined"
    return "failed" if failures else "pending"


def failure_names(job: Job, names: Iterable[str]) -> list[str]:
    """Names of the failure records of a job among the names of a listing."""
    return sorted(name for name in names if name.startswith(f"{job.folder}/failure-"))


@dataclass(frozen=True)
class Board:
    """Shards x stages: the state of every job of a corpus."""

    shards: tuple[Shard, ...]
    states: Mapping[ShardStage, Mapping[str, State]]
    failures: Mapping[tuple[ShardStage, str], tuple[str, ...]]
    past: Mapping[ShardStage, tuple[str, ...]]
    """Receipts of any key, also of shards and settings that are gone: they tell the rates."""

    def in_state(self, stage: ShardStage, *wanted: State) -> tuple[Shard, ...]:
        """The shards that are in one of these states of a stage."""
        return tuple(shard for shard in self.shards if self.states[stage][shard.name] in wanted)

    def tally(self, stage: ShardStage) -> Counter[State]:
        """States to numbers of shards."""
        return Counter(self.states[stage].values())


def survey(workspace: Workspace, shards: tuple[Shard, ...]) -> Board:
    """The state of every shard in every stage, from one listing."""
    by_folder: dict[str, set[str]] = {}
    for name in workspace.store.find(workspace.corpus_folder("documents")):
        by_folder.setdefault(name.rpartition("/")[0], set()).add(name)
    written = sorted(
        f"{folder}/receipt.json" for folder, names in by_folder.items() if f"{folder}/receipt.json" in names
    )
    past = {stage: tuple(name for name in written if f"/{stage}-" in name) for stage in SHARD_STAGES}
    states: dict[ShardStage, dict[str, State]] = {stage: {} for stage in SHARD_STAGES}
    failures: dict[tuple[ShardStage, str], tuple[str, ...]] = {}
    for shard in shards:
        ready = True
        for stage in SHARD_STAGES:
            job = workspace.job(stage, shard)
            names = frozenset(by_folder.get(job.folder, ()))
            state = state_of(job, names)
            states[stage][shard.name] = "waiting" if state == "pending" and not ready else state
            ready = state == "done" and ready
            if found := failure_names(job, names):
                failures[stage, shard.name] = tuple(found)
    return Board(shards, states, failures, past)


def read_failures(workspace: Workspace, board: Board, stage: ShardStage, shard: str) -> list[Failure]:
    """The failed attempts of a stage on a shard, oldest first."""
    return workspace.store.read_records(list(board.failures.get((stage, shard), ())), Failure)


def receipts(workspace: Workspace, board: Board, stage: ShardStage) -> dict[str, Receipt]:
    """The receipts of all shards that are done, by shard."""
    done = board.in_state(stage, "done")
    names = [workspace.job(stage, shard).receipt_name for shard in done]
    found = workspace.store.read_records(names, Receipt)
    return {shard.name: receipt for shard, receipt in zip(done, found, strict=True)}
