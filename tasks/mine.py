"""Selected queries to templates and compatible document descriptions (paper 3.1).

Every query ends as a template, or as a rejected or failed row with the raw completion; finished parts outlive a kill.
Not covered: merging equal templates of several queries, which `index` does.
"""

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.engine import Completion, Engine
from models.engines import open_engine
from models.errors import UsageError
from models.genericizer import Generic, Genericizer
from models.refusals import Refusal
from models.settings import GenericizerSettings
from models.templates import Template
from tasks.asking import ask_rows
from tasks.plan import read_shards
from tasks.records import Receipt, Scope, Selection
from tasks.retry import RETRY
from tasks.select import selections
from tasks.tables import TEMPLATES
from tasks.work import Batch, run, slices
from tasks.workspace import open_workspace


def mine_rows(queries: pl.DataFrame, genericizer: Genericizer, engine: Engine, settings: GenericizerSettings) -> Batch:
    """Ask for a template of each query (`QUERIES`), check it, and give back `TEMPLATES`.

    Raises:
        TransientError: when the engine is gone or cannot be reached.
        ShardError: when too many requests fail.
    """
    texts = queries["query"].to_list()

    def read(place: int, completion: Completion) -> Generic | Refusal:
        return genericizer.read(texts[place], completion)

    requests = [genericizer.request(name, text) for name, text in queries.select("query_id", "query").iter_rows()]
    asked = ask_rows(engine, requests, read, settings)
    kept, generics = asked.accepted(queries)
    templates = kept.drop("attempts").with_columns(
        pl.Series("template", [generic.template for generic in generics], pl.String),
        pl.Series("compatible_document_description", [generic.description for generic in generics], pl.String),
        pl.Series("complexity", [Template.parse(generic.template).complexity for generic in generics], pl.Int64),
    )
    refused = asked.refused(queries.rename({"query_id": "id"}))
    return Batch(templates.match_to_schema(TEMPLATES), refused, asked.tokens)


@task(task_run_name="mine-{selection.shard}", cache_policy=NO_CACHE, **RETRY)
def mine(scope: Scope, selection: Selection) -> Receipt:
    """Genericize the selected queries of one shard; no engine is opened when that is done already.

    Args:
        scope: Store, corpus and profile.
        selection: The queries.

    Raises:
        TransientError: when the engine is gone or cannot be reached.
        ShardError: when too many requests fail.
    """
    workspace = open_workspace(scope)
    profile = workspace.profile
    settings = profile.genericizer
    queries = workspace.store.read_frame(selection.file)
    genericizer = Genericizer(settings)

    def process(rows: pl.DataFrame) -> Batch:
        return mine_rows(rows, genericizer, open_engine(profile.engines[settings.engine]), settings)

    return run(workspace.mine_job(selection), slices(queries, profile.part_requests), process)


def open_selections(scope: Scope) -> tuple[Selection, ...]:
    """The selections of the corpus that have queries and are not mined yet.

    Raises:
        UsageError: when the queries have not been read and selected.
    """
    return tuple(selection for selection, mined in _selections(scope) if selection.rows and not mined)


def mined_selections(scope: Scope) -> tuple[Selection, ...]:
    """The selections of the corpus that are mined: what a bank can be built from now.

    Raises:
        UsageError: when the queries have not been read and selected, or none of them is mined.
    """
    mined = tuple(selection for selection, mined in _selections(scope) if mined)
    if not mined:
        raise UsageError(
            f"no query of corpus {scope.corpus!r} has been mined with these settings; run `fineinstructions mine`"
        )
    return mined


def _selections(scope: Scope) -> list[tuple[Selection, bool]]:
    """All selections of the corpus, each with whether it is mined; one listing."""
    workspace = open_workspace(scope)
    shards = read_shards(workspace, "queries")
    receipt = workspace.select_job(shards).receipt()
    if receipt is None:
        raise UsageError(f"the queries of corpus {scope.corpus!r} are not selected; run `fineinstructions mine`")
    names = set(workspace.store.find(workspace.corpus_folder("queries")))
    chosen = selections(workspace, shards, receipt)
    return [(selection, workspace.mine_job(selection).receipt_name in names) for selection in chosen]
