"""From the tables of one shard to candidates for a release: join, cut by score, prove, complete the columns.

Pure functions on frames. Both halves of every cut are returned; what is left out goes to the table `REJECTED`.
Not covered: what needs all shards together (duplicates, budget); see `tasks.draft`.
"""

from collections.abc import Callable, Mapping

import polars as pl

from models.errors import ShardError
from tasks.refused import refused_frame
from tasks.tables import MODELS, RELEASE

Count = Callable[[list[str]], list[int]]
"""Texts to their numbers of tokens."""

CANDIDATES = pl.Schema(
    {
        **RELEASE,
        "instruction_tokens": pl.Int64(),
        "answer_tokens": pl.Int64(),
        "position": pl.Float64(),  # mean middle of the excerpts as a share of the document's characters; may be null
    }
)
"""The columns of a release and three more for its report."""


def join(documents: pl.DataFrame, pairs: pl.DataFrame, verdicts: pl.DataFrame, shard: str) -> pl.DataFrame:
    """The judged pairs of a shard, in the order of `pairs`, each with its document's text and tokens.

    Raises:
        ShardError: when a verdict has not exactly one pair, or a pair not exactly one document.
    """
    judged = pairs.join(
        verdicts.select("pair_id", "judge_score", "judge_feedback"), on="pair_id", maintain_order="left"
    ).join(
        documents.select("document_id", document_text="text", document_token_count="token_count"),
        on="document_id",
        maintain_order="left",
    )
    if len(judged) != len(verdicts) or judged["pair_id"].is_duplicated().any():
        raise ShardError(
            f"shard {shard}: expected one pair and one document for each of {len(verdicts)} verdicts, found "
            f"{len(judged)} rows with {judged['pair_id'].n_unique()} different pairs; the tables of its stages do not "
            f"belong together, make them again: fineinstructions rerun --stage match --shard {shard} --force"
        )
    return judged


def cut_by_score(judged: pl.DataFrame, min_score: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pairs the judge lets pass (paper 3.4: at least 4), and the others as rejected rows."""
    passes = pl.col("judge_score") >= min_score
    low = refuse(judged.filter(~passes), pl.format("score_{}", "judge_score"), pl.col("judge_feedback"))
    return judged.filter(passes), low


def complete(judged: pl.DataFrame, models: Mapping[str, str], count: Count) -> pl.DataFrame:
    """All columns of a candidate, with the schema `CANDIDATES` (paper 4.2: the training string).

    Args:
        judged: As `join` makes it.
        models: Role to name@revision.
        count: The tokenizer of the budget.
    """
    middle = (pl.element().struct.field("document_start") + pl.element().struct.field("document_end")) / 2
    named = [pl.lit(models.get(field.name), pl.String).alias(field.name) for field in MODELS.fields]
    texted = judged.with_columns(
        pl.format("Instruction: {}\n\nAnswer: {}", "instruction", "answer").alias("text"),
        pl.struct(named).alias("models"),
        (pl.col("excerpts").list.eval(middle).list.mean() / pl.col("document_text").str.len_chars()).alias("position"),
    )
    counted = texted.with_columns(
        pl.Series(column, count(texted[text].to_list()), pl.Int64)
        for column, text in (
            ("token_count", "text"),
            ("instruction_tokens", "instruction"),
            ("answer_tokens", "answer"),
        )
    )
    return counted.select(pl.col(name).cast(dtype) for name, dtype in CANDIDATES.items())


def refuse(pairs: pl.DataFrame, reason: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    """Pairs as rows of the rejected table."""
    return refused_frame(
        pairs.select(id="pair_id", url="document_url", row="document_row", reason=reason, detail=detail)
    )
