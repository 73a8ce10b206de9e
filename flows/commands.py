"""What the commands do: check, run a flow, show the result. One function per command of `flows.cli`.

Checks that cost nothing come before anything is started, and raise `UsageError`. A command that works shows what it has
and ends with exit code 1 when something failed on its way, or when shards of the corpus stand failed or in quarantine;
to one that only looks these are no failure.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flows import display, interruption, trails
from flows.bars import Bars, err
from flows.distill import distill as distill_flow
from flows.index import build_index
from flows.ingest import ingest_corpus
from flows.mine import mine_templates
from flows.release import publish_release
from flows.rerun import rerun_shards
from flows.run import run as run_flow
from flows.server import start_server
from flows.states import settled
from models.errors import ShardError, UsageError
from tasks import progress
from tasks.calibrate import calibrate as pick_threshold
from tasks.distill.plan import Distillation
from tasks.distill.taught import export_labels
from tasks.doctor import examine, preflight, reach_prefect
from tasks.forecast import forecast
from tasks.lookup import look_up
from tasks.outcomes import calibrate_on_outcomes
from tasks.overview import examples, mining_funnel, overview
from tasks.plan import ShardStage, stuck_shards
from tasks.preview import preview as preview_documents
from tasks.records import Scope, Shard
from tasks.release import Release
from tasks.settings import load_profile

SOME_FAILED = 1


def run(scope: Scope, queries: tuple[str, ...], documents: tuple[str, ...], name: str, as_json: bool) -> None:
    """The whole chain."""
    preflight(scope, queries, documents)
    with _bars() as bars:
        made, complete = run_flow(scope, queries, documents, name)
    if complete and not bars.rows_done:
        err.print("Nothing was pending.")
    _show_release(scope, made, as_json)
    _end(complete, stuck_shards(scope))


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
    seen = overview(scope)
    display.show_funnel(seen.funnel, as_json)
    _end(complete, seen.board.stuck)


def release(scope: Scope, name: str, as_json: bool) -> None:
    """Judged pairs to a data set."""
    preflight(scope, (), ())
    with _bars():
        made = publish_release(scope, name)
    _show_release(scope, made, as_json)
    _end(True, stuck_shards(scope))


def plan(scope: Scope, queries: tuple[str, ...], documents: tuple[str, ...], as_json: bool) -> None:
    """What a run would do."""
    preflight(scope, queries, documents, writes=False)
    display.show_forecast(forecast(scope, queries, documents), as_json)


def preview(scope: Scope, documents: tuple[str, ...], number: int, as_json: bool) -> None:
    """A few documents through everything."""
    preflight(scope, (), documents, asks=True, writes=False)
    trails.show_previews(preview_documents(scope, documents, number), as_json)


def status(scope: Scope, as_json: bool) -> None:
    """Shards x stages."""
    preflight(scope, (), (), writes=False)
    display.show_overview(overview(scope), as_json)


def show(scope: Scope, identifier: str, as_json: bool) -> None:
    """The trail of one pair, document or template."""
    preflight(scope, (), (), writes=False)
    trails.show_trail(look_up(scope, identifier), as_json)


def rerun(scope: Scope, shards: tuple[str, ...], stage: ShardStage | None, force: bool, as_json: bool) -> None:
    """Chosen shards again."""
    preflight(scope, (), (), asks=True)
    with _bars() as bars:
        complete = settled(rerun_shards(scope, shards, (stage,) if stage else (), force, return_state=True))
    if complete and not bars.rows_done:
        err.print("Nothing was pending; --force with --shard NAME makes again what is finished.")
    seen = overview(scope)
    display.show_overview(seen, as_json)
    _end(complete, seen.board.stuck)


def calibrate(scope: Scope, labels: str, precision: float, as_json: bool) -> None:
    """The match threshold at a target precision."""
    if labels:
        found = pick_threshold(labels, load_profile(scope.profile, scope.overrides), precision)
    else:
        found = calibrate_on_outcomes(scope, precision)
    display.show_calibration(found, as_json)


def labels(scope: Scope, out: str, as_json: bool) -> None:
    """Labels of a teacher's store."""
    preflight(scope, (), (), writes=False)
    display.show_labels(export_labels(scope, out), out, as_json)


def distill(plan: Distillation, as_json: bool) -> None:
    """Adapters, their figures and their cards."""
    for part in plan.parts:
        # Settings, labels and base model are looked at before anything is started.
        plan.folder(part)
    with _bars():
        trained = distill_flow(plan)
    display.show_trained(trained, as_json)


def doctor(scope: Scope, as_json: bool) -> None:
    """Every check, one line each."""
    if not display.show_checks(examine(scope), as_json):
        sys.exit(SOME_FAILED)


def _show_release(scope: Scope, made: Release, as_json: bool) -> None:
    display.show_release(made, examples(scope, made, 3), scope.store, as_json)


@contextmanager
def _bars() -> Iterator[Bars]:
    """Bars while something runs.

    Raises:
        UsageError: the Prefect server that is set does not answer.
        ShardError: instead of a `UsageError`, when what failed before left nothing to go on with.
    """
    reach_prefect()
    start_server()
    with Bars() as bars, progress.listening(bars):
        try:
            yield bars
        except UsageError as error:
            if bars.failures:
                raise ShardError(str(error)) from error
            raise
    interruption.check()


def _end(complete: bool, stuck: Sequence[Shard] = ()) -> None:
    """End the command, with exit code 1 when something failed."""
    if stuck:
        err.print(
            f"Shards that failed or are in quarantine: {len(stuck):,}. `fineinstructions status` says which and why, "
            "`fineinstructions rerun --failed` tries all of them again.",
            soft_wrap=True,
        )
    elif not complete:
        err.print("Some of it failed, as said above; the same command tries that again.", soft_wrap=True)
    if stuck or not complete:
        sys.exit(SOME_FAILED)
