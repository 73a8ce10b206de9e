"""Pairs to verdicts: a score from 1 to 5 and feedback, in a table of their own (paper 3.4).

A verdict never changes a pair, and a threshold is applied only by `release`, so that filtering anew needs no judging.
Every pair ends with a verdict, or as a rejected or failed row with the raw completion.
Not covered: whether the judge is right.
"""

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.engine import Completion, Engine
from models.engines import open_engine
from models.judge import Judge, Judgement
from models.refusals import Refusal
from models.settings import JudgeSettings
from tasks.asking import ask_rows
from tasks.records import Receipt, Scope, Shard
from tasks.retry import RETRY
from tasks.tables import VERDICTS
from tasks.work import Batch, read_rows, run, slices
from tasks.workspace import Workspace, open_workspace

_COLUMNS = ["pair_id", "document_url", "document_row", "instruction", "answer"]


def judge_rows(pairs: pl.DataFrame, judge: Judge, engine: Engine, settings: JudgeSettings) -> Batch:
    """Ask for a verdict on each pair (`PAIRS`, or its columns that the judge needs) and give back `VERDICTS`.

    Raises:
        TransientError: when the engine is gone or cannot be reached.
        ShardError: when too many requests fail.
    """

    def read(_: int, completion: Completion) -> Judgement | Refusal:
        return judge.read(completion)

    rows = pairs.select("pair_id", "instruction", "answer").iter_rows()
    requests = [judge.request(pair_id, instruction, answer) for pair_id, instruction, answer in rows]
    asked = ask_rows(engine, requests, read, settings)
    kept, judgements = asked.accepted(pairs)
    verdicts = kept.select(
        "pair_id",
        pl.Series("judge_score", [judgement.score for judgement in judgements], pl.Int64),
        pl.Series("judge_feedback", [judgement.feedback for judgement in judgements], pl.String),
        pl.lit(judge.prompt_digest).alias("prompt_digest"),
    )
    names = {"pair_id": "id", "document_url": "url", "document_row": "row"}
    return Batch(verdicts.match_to_schema(VERDICTS), asked.refused(pairs.rename(names)), asked.tokens)


def _pairs_of(workspace: Workspace, shard: Shard) -> pl.DataFrame:
    store, job = workspace.store, workspace.instantiate_job(shard)
    frames = list(read_rows(store, job.folder, store.read_record(job.receipt_name, Receipt), _COLUMNS))
    return pl.concat(frames) if frames else pl.DataFrame()


@task(task_run_name="judge-{shard.name}", cache_policy=NO_CACHE, **RETRY)
def judge(scope: Scope, shard: Shard) -> Receipt:
    """Judge the pairs of one shard; no engine is opened when that is done already.

    Args:
        scope: Store, corpus, profile and bank version.
        shard: A shard of documents that has been instantiated.

    Raises:
        TransientError: when the engine is gone or cannot be reached.
        ShardError: when too many requests fail.
    """
    workspace = open_workspace(scope)
    profile, job = workspace.profile, workspace.judge_job(shard)
    if (done := job.receipt()) is not None:
        return done
    settings = profile.judge
    asker = Judge(settings)

    def process(pairs: pl.DataFrame) -> Batch:
        return judge_rows(pairs, asker, open_engine(profile.engines[settings.engine]), settings)

    return run(job, slices(_pairs_of(workspace, shard), profile.part_requests), process)
