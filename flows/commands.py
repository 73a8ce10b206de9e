"""What the commands do: check, run a flow, show the result. One function per command of `flows.cli`.

Checks that cost nothing come before anything is started, and raise `UsageError`. A command whose shards did not all
come through shows what it has and ends with exit code 1.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows import display, trails
from flows.bars import Bars, err
from flows.index import build_index
from flows.ingest import ingest_corpus
from flows.mine import mine_templates
from flows.release import publish_release
from flows.rerun import rerun_shards
from flows.run import run as run_flow
from flows.states import settled
from tasks import progress
from tasks.calibrate import calibrate as pick_threshold
from tasks.doctor import examine, preflight
from tasks.forecast import forecast
from tasks.lookup import look_up
from tasks.overview import examples, mining_funnel, overview
from tasks.plan import ShardStage
from tasks.preview import preview as preview_documents
from tasks.records import Scope
from tasks.release import Release
from tasks.settings import load_profile

SOME_FAILED = 1


def run(scope: Scope, queries: tuple[str, ...], documents: tuple[str, ...], name: str, as_json: bool) -> None:
    """The whole chain."""
    preflight(scope, queries, documents)
    with _bars() as bars:
        made, complete = run_flow(scope, queries, documents, name)
    if not bars.rows_done:
        err.print("Nothing was pending.")
    _show_release(scope, made, complete, as_json)


def mine(scope: Scope, queries: tuple[str, ...], as_json: bool) -> None:
    """Queries to templates."""
    preflight(scope, queries, ())
    with _bars():
        complete = settled(mine_templates(scope, queries, return_state=True))
    display.show_funnel(mining_funnel(scope), as_json)
    _end(complete)


def index(scope: Scope, as_json: bool) -> None:
    """Templates to a bank."""
    preflight(scope, (), ())
    with _bars():
        bank = build_index(scope)
    display.show_bank(bank, as_json)


def ingest(scope: Scope, documents: tuple[str, ...], as_json: bool) -> None:
    """Documents to judged pairs."""
    preflight(scope, (), documents)
    with _bars():
        complete = settled(ingest_corpus(scope, documents, return_state=True))
    display.show_funnel(overview(scope).funnel, as_json)
    _end(complete)


def release(scope: Scope, name: str, as_json: bool) -> None:
    """Judged pairs to a data set."""
    preflight(scope, (), ())
    with _bars():
        made = publish_release(scope, name)
    _show_release(scope, made, True, as_json)


def plan(scope: Scope, queries: tuple[str, ...], documents: tuple[str, ...], as_json: bool) -> None:
    """What a run would do."""
    preflight(scope, queries, documents)
    display.show_forecast(forecast(scope, queries, documents), as_json)


def preview(scope: Scope, documents: tuple[str, ...], number: int, as_json: bool) -> None:
    """A few documents through everything."""
    preflight(scope, (), documents)
    for previewed in preview_documents(scope, documents, number):
        trails.show_preview(previewed, as_json)


def status(scope: Scope, as_json: bool) -> None:
    """Shards x stages."""
    preflight(scope, (), ())
    display.show_overview(overview(scope), as_json)


def show(scope: Scope, identifier: str, as_json: bool) -> None:
    """The trail of one pair, document or template."""
    preflight(scope, (), ())
    trails.show_trail(look_up(scope, identifier), as_json)


def rerun(scope: Scope, shards: tuple[str, ...], stage: ShardStage | None, force: bool, as_json: bool) -> None:
    """Chosen shards again."""
    preflight(scope, (), ())
    with _bars():
        complete = settled(rerun_shards(scope, shards, (stage,) if stage else (), force, return_state=True))
    display.show_overview(overview(scope), as_json)
    _end(complete)


def calibrate(labels: str, profile: str, overrides: tuple[str, ...], precision: float, as_json: bool) -> None:
    """The match threshold at a target precision."""
    display.show_calibration(pick_threshold(labels, load_profile(profile, overrides), precision), as_json)


def doctor(scope: Scope, as_json: bool) -> None:
    """Every check, one line each."""
    _end(display.show_checks(examine(scope), as_json))


def _show_release(scope: Scope, made: Release, complete: bool, as_json: bool) -> None:
    display.show_release(made, examples(scope, made, 3), scope.store, as_json)
    _end(complete)


@contextmanager
def _bars() -> Iterator[Bars]:
    with Bars() as bars, progress.listening(bars):
        yield bars


def _end(complete: bool) -> None:
    if not complete:
        err.print("Some shards failed; `fineinstructions status` says which and why.")
        sys.exit(SOME_FAILED)
