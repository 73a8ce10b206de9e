"""Queries to templates: read, clean all together, genericize shard by shard (paper 3.1)."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.artifacts import shown
from flows.reading import read_in
from flows.states import report
from tasks import progress
from tasks.mine import mine, open_selections
from tasks.plan import query_shards
from tasks.records import Scope
from tasks.select import select


@flow(name="mine-templates", flow_run_name="mine-{scope.corpus}")
def mine_templates(scope: Scope, queries: tuple[str, ...]) -> list[State[Any]]:
    """Build or extend the pool of templates from files of real queries.

    Args:
        scope: Store, corpus and profile.
        queries: fsspec globs of query files.
    """
    with shown(scope):
        return _mine(scope, queries)


def _mine(scope: Scope, queries: tuple[str, ...]) -> list[State[Any]]:
    states = read_in(scope, "queries", queries)
    shards = query_shards(scope)
    progress.begin("select", 1, sum(shard.rows for shard in shards))
    select(scope, shards)
    progress.end("select")
    selections = open_selections(scope)
    progress.begin("mine", len(selections), sum(selection.rows for selection in selections))
    for selection in selections:
        states.append(mine(scope, selection, return_state=True))
        report("mine", selection.shard, states[-1])
    progress.end("mine")
    return states
