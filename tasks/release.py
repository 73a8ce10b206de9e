"""Release: judged pairs become a data set that never changes again (paper 3.4, 4.2).

The judge's score, duplicates inside and against earlier releases, and the token budget decide in this order what is
left out; every judged pair is either in the data or in `rejected.parquet` with its reason.
`release.json` is written last. A folder without it is nothing: the next attempt starts anew.
A release is immutable: the same name with the same key is returned as it is, with another key it is refused.
Two processes that publish the same write the same data, and the record of the first one stays.
Not covered: two that give one name to different things at once; texts of all pairs must fit in memory to find
duplicates.
"""

import re
import tempfile
import time
from pathlib import Path

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.errors import UsageError
from models.tokens import Tokenizer
from tasks.assemble import complete, cut_by_score, join
from tasks.draft import DROPPED, Draft
from tasks.duplicates import Duplicate, DuplicateIndex
from tasks.progress import advance
from tasks.proof import prove
from tasks.publish import Result, describe, write_data, write_pages
from tasks.records import Scope, Shard
from tasks.released import Release, ReleaseReason, record_name, release_folder
from tasks.retry import RETRY
from tasks.storage import Store, as_json
from tasks.trail import JudgedShard, finished, follow_shards
from tasks.workspace import Workspace, open_workspace

__all__ = ["Release", "publish", "read_release", "release"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,95}")


def read_release(store: Store, name: str) -> Release | None:
    """A published release, or None."""
    record = record_name(name)
    return store.read_record(record, Release) if store.exists(record) else None


def publish(workspace: Workspace, shards: tuple[Shard, ...], name: str = "") -> Release:
    """Assemble and publish what is judged of some shards.

    Args:
        workspace: Where everything lies.
        shards: In the order of the corpus; those without verdicts are named in the release as missing.
        name: Lower-case letters, digits, `.`, `_`, `-`; empty means `<corpus>-<first 8 digits of the key>`, so that
            the same content has the same name.

    Raises:
        UsageError: when the name is taken by another release or cannot be one, an earlier release is not there, or
            none of the shards is judged.
        ShardError: when a pair is flawed or tables do not belong together; nothing is published then.
    """
    ready = finished(workspace, shards)
    # Of the judged shards only: when a missing one comes along, that is another release.
    key = workspace.release_key(ready)
    name = name or f"{workspace.scope.corpus}-{key[:8]}"
    if (done := _existing(workspace.store, name, key)) is not None:
        return done
    if shards and not ready:
        raise UsageError(
            f"none of the {len(shards)} shards of corpus {workspace.scope.corpus!r} has been judged, so there is "
            f"nothing to release; `fineinstructions status` shows what is pending or failed"
        )
    earlier = [_earlier(workspace.store, other) for other in workspace.profile.release.against]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="release-") as scratch:
        draft = Draft(Path(scratch))
        judged = follow_shards(workspace, ready)
        _take_up(workspace, draft, judged)
        draft.settle(_duplicates(workspace, draft, earlier), workspace.profile.release.seed)
        files = write_data(workspace.store, release_folder(name), draft, workspace.profile.release.shard_rows)
        missing = tuple(sorted({shard.name for shard in shards} - {shard.name for shard in ready}))
        made = describe(workspace, draft, judged, Result(name, key, files, missing, time.monotonic() - started))
        write_pages(workspace.store, made, draft, judged)
    if workspace.store.create(record_name(name), as_json(made)):
        return made
    return workspace.store.read_record(record_name(name), Release)


def _existing(store: Store, name: str, key: str) -> Release | None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a release cannot be called {name!r}: expected up to 96 lower-case letters, digits, `.`, `_` and `-`, "
            f"the first a letter or digit"
        )
    done = read_release(store, name)
    if done is not None and done.key != key:
        raise UsageError(
            f"release {name!r} exists and was made from something else (key {done.key}, now {key}); "
            f"releases never change, give this one another name"
        )
    return done


def _take_up(workspace: Workspace, draft: Draft, judged: list[JudgedShard]) -> None:
    tokenizer = Tokenizer(workspace.profile.tokenizer)
    for shard in judged:
        documents, pairs, verdicts = (shard.read(step) for step in ("ingest documents", "instantiate", "judge"))
        rows = join(documents, pairs, verdicts, shard.shard.name)
        passing, low = cut_by_score(rows, workspace.profile.release.min_score)
        prove(passing, shard.shard.name, workspace.profile.instantiator)
        draft.add(documents, rows, complete(passing, shard.models, tokenizer.count), low)
        advance("release", len(rows))


def _earlier(store: Store, name: str) -> Release:
    earlier = read_release(store, name)
    if earlier is None:
        raise UsageError(
            f"release.against names {name!r}, but store {store.url!r} has no such release; "
            f"expected a folder below releases/ with a release.json"
        )
    return earlier


def _duplicates(workspace: Workspace, draft: Draft, earlier: list[Release]) -> pl.DataFrame:
    """Candidates (`DROPPED`) that say the same as one before them, in this release or in those it is set against."""
    index = DuplicateIndex(workspace.profile.release.near_duplicate_similarity)
    columns = ["pair_id", "instruction", "answer"]
    for other in earlier:
        for file in other.files:
            frame = workspace.store.read_frame(f"{other.folder}/{file.name}", columns)
            index.find([f"{other.name}/{pair_id}" for pair_id in frame["pair_id"]], _compared(frame))
    dropped: list[tuple[str, ReleaseReason, str]] = []
    for frame in draft.pairs(columns):
        found = zip(frame["pair_id"], index.find(frame["pair_id"].to_list(), _compared(frame)), strict=True)
        dropped += [(pair_id, _reason(twin), twin.kept) for pair_id, twin in found if twin]
    return pl.DataFrame(dropped, schema=DROPPED, orient="row")


def _reason(twin: Duplicate) -> ReleaseReason:
    # Ids of pairs are hexadecimal digests; only those of earlier releases have their name before a slash.
    return "in_earlier_release" if "/" in twin.kept else twin.reason


def _compared(pairs: pl.DataFrame) -> list[str]:
    """What duplicates are sought in: the pair without the fixed words of the training string."""
    return pairs.select(pl.format("{}\n{}", "instruction", "answer")).to_series().to_list()


@task(task_run_name="release-{scope.corpus}", cache_policy=NO_CACHE, **RETRY)
def release(scope: Scope, shards: tuple[Shard, ...], name: str = "") -> Release:
    """Publish the judged pairs of some shards under a name; see `publish`."""
    return publish(open_workspace(scope), shards, name)
