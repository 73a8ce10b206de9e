"""What is done and what is pending: set differences on one listing of the store, nothing else.

Covers the stages that work shard by shard on documents (match, instantiate, judge). Read-only; no model is loaded.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from models.errors import UsageError
from tasks.records import Corpus, Failure, Kind, Manifest, Receipt, Scope, Selection, Shard
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
    wanted = set(names)
    shards = tuple(shard for shard in document_shards(scope) if shard.name in wanted)
    if missing := wanted - {shard.name for shard in shards}:
        raise UsageError(
            f"corpus {scope.corpus!r} has no shard {', '.join(sorted(missing))}; `fineinstructions status` lists them"
        )
    return shards


def next_work(
    scope: Scope, stages: tuple[ShardStage, ...], only: frozenset[str] | None = None
) -> tuple[ShardStage, tuple[Shard, ...]] | None:
    """The first of some stages that has shards to work on now, and these; None when there is none. One listing.

    They are not done and not in quarantine, and the stage before is done; `only` limits them to these names.
    """
    board = survey(open_workspace(scope), document_shards(scope))
    for stage in stages:
        shards = board.in_state(stage, "pending", "failed")
        if chosen := tuple(shard for shard in shards if only is None or shard.name in only):
            return stage, chosen
    return None


def stuck_shards(scope: Scope) -> tuple[Shard, ...]:
    """The document shards that failed in some stage or are in quarantine: what a release of now lacks."""
    return survey(open_workspace(scope), document_shards(scope)).stuck


def input_rows(scope: Scope, stage: ShardStage, shards: tuple[Shard, ...]) -> int:
    """Input rows of a stage on shards whose earlier stages are done."""
    if stage == "match":
        return sum(shard.rows for shard in shards)
    workspace, earlier = open_workspace(scope), SHARD_STAGES[SHARD_STAGES.index(stage) - 1]
    return _rows_made(workspace, (workspace.job(earlier, shard) for shard in shards))


def template_rows(scope: Scope, selections: tuple[Selection, ...]) -> int:
    """Templates that mined selections became: the input rows of the stage index."""
    workspace = open_workspace(scope)
    return _rows_made(workspace, (workspace.mine_job(selection) for selection in selections))


def _rows_made(workspace: Workspace, jobs: Iterable[Job]) -> int:
    receipts = workspace.store.read_records([job.receipt_name for job in jobs], Receipt)
    return sum(receipt.rows for receipt in receipts)


def state_of(job: Job, names: Collection[str], ready: bool = True) -> State:
    """State of one job, from the names that a listing found in its folder.

    Args:
        job: A stage on a shard.
        names: What lies in the job's folder.
        ready: The stage before it is done.
    """
    if job.receipt_name in names:
        return "done"
    failures = len(failure_names(job, names))
    if failures >= ATTEMPTS:
        return "quarantined"
    if not ready:
        return "waiting"
    return "failed" if failures else "pending"


def failure_names(job: Job, names: Iterable[str]) -> tuple[str, ...]:
    """Names of the failure records of a job among the names of a listing, oldest first."""
    return tuple(sorted(name for name in names if name.startswith(f"{job.folder}/failure-")))


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

    @property
    def stuck(self) -> tuple[Shard, ...]:
        """The shards that failed in some stage or are in quarantine, in the order of the corpus."""
        states = self.states.values()
        return tuple(
            shard for shard in self.shards if any(of[shard.name] in ("failed", "quarantined") for of in states)
        )

    def tally(self, stage: ShardStage) -> Counter[State]:
        """States to numbers of shards."""
        return Counter(self.states[stage].values())


def survey(workspace: Workspace, shards: tuple[Shard, ...]) -> Board:
    """The state of every shard in every stage with the workspace's bank, from one listing.

    Raises:
        UsageError: when there is no bank, or another embedder made it.
    """
    pinned, by_folder = workspace.pinned(), _list_folders(workspace)
    states: dict[ShardStage, dict[str, State]] = {stage: {} for stage in SHARD_STAGES}
    failures: dict[tuple[ShardStage, str], tuple[str, ...]] = {}
    for shard in shards:
        ready = True
        for stage in SHARD_STAGES:
            job = pinned.job(stage, shard)
            names = by_folder.get(job.folder, set())
            states[stage][shard.name] = state_of(job, names, ready)
            ready = states[stage][shard.name] == "done"
            if found := failure_names(job, names):
                failures[stage, shard.name] = found
    return Board(shards, states, failures, _past(by_folder))


def untouched(workspace: Workspace, shards: tuple[Shard, ...]) -> Board:
    """The same for a bank that is still to be built: every shard is to be matched first."""
    names = [shard.name for shard in shards]
    states: dict[ShardStage, dict[str, State]] = {stage: dict.fromkeys(names, "waiting") for stage in SHARD_STAGES}
    states["match"] = dict.fromkeys(names, "pending")
    return Board(shards, states, {}, _past(_list_folders(workspace)))


def _list_folders(workspace: Workspace) -> dict[str, set[str]]:
    """Everything below the corpus's documents, by folder."""
    by_folder: dict[str, set[str]] = {}
    for name in workspace.store.find(workspace.corpus_folder("documents")):
        by_folder.setdefault(name.rpartition("/")[0], set()).add(name)
    return by_folder


def _past(by_folder: Mapping[str, set[str]]) -> dict[ShardStage, tuple[str, ...]]:
    written = sorted(receipt for folder, names in by_folder.items() if (receipt := f"{folder}/receipt.json") in names)
    return {stage: tuple(name for name in written if f"/{stage}-" in name) for stage in SHARD_STAGES}


def past_receipts(scope: Scope, stage: ShardStage, most: int) -> list[Receipt]:
    """Up to so many receipts of a stage, of any settings and also of shards that are gone."""
    workspace = open_workspace(scope)
    return workspace.store.read_records(list(_past(_list_folders(workspace))[stage][-most:]), Receipt)


def latest_failures(workspace: Workspace, board: Board) -> list[Failure]:
    """The last failed attempt of every stage and shard that failed or is in quarantine, by stage and shard."""
    names = [
        board.failures[stage, shard.name][-1]
        for stage in SHARD_STAGES
        for shard in board.in_state(stage, "failed", "quarantined")
    ]
    return workspace.store.read_records(names, Failure)


def receipts(workspace: Workspace, board: Board, stage: ShardStage) -> dict[str, Receipt]:
    """The receipts of all shards that are done, by shard; the workspace has the board's bank."""
    done = board.in_state(stage, "done")
    if not done:
        return {}
    pinned = workspace.pinned()
    found = workspace.store.read_records([pinned.job(stage, shard).receipt_name for shard in done], Receipt)
    return {shard.name: receipt for shard, receipt in zip(done, found, strict=True)}
