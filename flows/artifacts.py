"""What an operator sees of a run in Prefect's UI: progress while it works, shards and a summary when it ends.

Artifacts with a key have a history: the newest one is the state of the corpus, earlier ones are how it was. Outside of
a deployment's run nothing is written; a terminal has bars (`flows.bars`). A server that does not take what is to be
seen harms no work: the log says so.
"""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.utilities.urls import url_for

from flows.pools import on_service
from tasks import progress
from tasks.overview import Overview, overview
from tasks.plan import ShardStage, input_rows
from tasks.records import Failure, Scope, Shard, Stage
from tasks.shard_table import shard_rows
from tasks.summary import summarise

RERUN = "rerun-shards/rerun"
EVERY = 5.0
"""Seconds between two updates of a progress artifact."""

MOST_ROWS = 500
"""Shards in the table, those that need attention first; `fineinstructions status --json` has all."""


logger = logging.getLogger(__name__)


@dataclass
class _Shown:
    artifact: UUID
    rows: int
    started: float
    done: int = 0
    failures: int = 0
    told: float = 0.0


class ProgressArtifacts:
    """A progress listener: one artifact a stage, with rows per second and the time that is left."""

    def __init__(self, corpus: str) -> None:
        self._corpus = _key(corpus)
        self._running: dict[Stage, _Shown] = {}

    def begin(self, stage: Stage, shards: int, rows: int) -> None:
        """Create the artifact; a stage with nothing to do has none."""
        if not shards:
            return
        with _if_the_server_takes_it():
            artifact = create_progress_artifact(0.0, f"{stage}-{self._corpus}", f"{stage}: {shards:,} shards")
            assert isinstance(artifact, UUID)
            self._running[stage] = _Shown(artifact, rows, time.monotonic())

    def advance(self, stage: Stage, rows: int) -> None:
        """Move it, not more often than every few seconds."""
        if shown := self._running.get(stage):
            shown.done += rows
            if time.monotonic() - shown.told >= EVERY:
                self._tell(stage, shown)

    def fail(self, stage: Stage, name: str, error: BaseException) -> None:
        """Count it; the log and the table of shards say more."""
        if shown := self._running.get(stage):
            shown.failures += 1

    def end(self, stage: Stage) -> None:
        """Tell the last state."""
        if shown := self._running.pop(stage, None):
            shown.rows = shown.rows if shown.failures else shown.done
            self._tell(stage, shown)

    def _tell(self, stage: Stage, shown: _Shown) -> None:
        shown.told = time.monotonic()
        share = shown.done / shown.rows if shown.rows else float(stage not in self._running)
        speed = shown.done / max(shown.told - shown.started, 1e-9)
        left = f", {_minutes((shown.rows - shown.done) / speed)} left" if speed and shown.rows > shown.done else ""
        failed = f", {shown.failures:,} failed" if shown.failures else ""
        text = f"{stage}: {shown.done:,} of {shown.rows:,} rows, {speed:,.1f} rows/s{left}{failed}"
        with _if_the_server_takes_it():
            update_progress_artifact(shown.artifact, min(100.0, 100 * share), text)


@contextmanager
def _if_the_server_takes_it() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, ObjectNotFound) as error:
        logger.warning("The server does not take an artifact, so that the UI shows less: %s", error)


@contextmanager
def shown(scope: Scope) -> Iterator[None]:
    """Show the progress of a deployment's run in the UI."""
    if not on_service():
        yield
        return
    with progress.listening(ProgressArtifacts(scope.corpus)):
        yield


@contextmanager
def shown_batch(scope: Scope, stage: ShardStage, shards: tuple[Shard, ...]) -> Iterator[None]:
    """The same for a run that works on a batch of shards itself."""
    if not on_service():
        yield
        return
    with shown(scope):
        progress.begin(stage, len(shards), input_rows(scope, stage, shards))
        yield
        progress.end(stage)


def show_corpus(scope: Scope) -> None:
    """Write the corpus as it stands now: its shards, those to be done again with links to do so, and the summary."""
    if not on_service():
        return
    seen, corpus = overview(scope), _key(scope.corpus)
    rows = shard_rows(seen)
    listed = f"{len(rows):,} rows, those that need attention first."
    with _if_the_server_takes_it():
        create_table_artifact(rows[:MOST_ROWS], f"shards-{corpus}", listed)
        create_markdown_artifact(_failed(scope, seen), f"failed-{corpus}", "Shards that failed or are in quarantine.")
        create_markdown_artifact(summarise(seen), f"summary-{corpus}", "What became of every row, and what it cost.")


def _failed(scope: Scope, seen: Overview) -> str:
    if not seen.failures:
        return "No shard has failed."
    form = _form()
    lines = [
        f"[Do all of them again]({_link(form, scope, ())}), or one by one. The form opens filled in; nothing starts "
        "before you submit it.",
        "",
        "| | shard | stage | error |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(failure, _link(form, scope, (failure.shard,))) for failure in seen.failures)])


def _line(failure: Failure, link: str) -> str:
    message = " ".join(failure.message.split()).replace("|", "\\|")[:300]
    return f"| [do again]({link}) | {failure.shard} | {failure.stage} | {failure.error}: {message} |"


def _form() -> str:
    """Address of the form that starts a re-run; empty where that deployment does not exist."""
    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(RERUN)
        except ObjectNotFound:
            return ""
    return f"{url_for('deployment', obj_id=found.id)}/run"


def _link(form: str, scope: Scope, shards: tuple[str, ...]) -> str:
    parameters = {"scope": scope.model_dump(mode="json"), "shards": list(shards)}
    return f"{form}?parameters={quote(json.dumps(parameters))}"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _key(corpus: str) -> str:
    return corpus.replace("_", "-")
