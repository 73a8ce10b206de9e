"""Templates to a new version of the template bank (paper 3.2)."""

from prefect import flow

from tasks import progress
from tasks.index import index
from tasks.mine import mined_selections
from tasks.plan import template_rows
from tasks.records import Bank, Scope


@flow(name="build-index", flow_run_name="index-{scope.corpus}")
def build_index(scope: Scope) -> Bank:
    """Publish a version of the bank from all templates mined so far; the current one when nothing is new.

    Args:
        scope: Store, corpus and profile.
    """
    selections = mined_selections(scope)
    progress.begin("index", 1, template_rows(scope, selections))
    bank = index(scope, selections)
    progress.end("index")
    return bank
