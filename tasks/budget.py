"""The token budget of a release: pairs may not cost more tokens than the documents they come from (paper 4.2, 1.8).

Documents are walked in the order of the corpus. Each adds its tokens to the budget, also when it has no pairs; its own
pairs are then drawn in a seeded random order, and each that fits is kept. What is left rolls over to later documents.

Guarantees: at every prefix of the corpus, kept tokens never exceed document tokens; a pair is refused only when it
did not fit at its turn; the same input and seed give the same result, whatever the order of the pairs.
Not covered: the best packing. A kept long pair may crowd out two short ones, as the paper's random choice does too.
"""

from dataclasses import dataclass

import polars as pl

from models.digests import digest


@dataclass(frozen=True)
class Spending:
    """Both halves, with the columns and in the order of the given pairs, and the tokens left for later documents."""

    kept: pl.DataFrame
    over_budget: pl.DataFrame
    unused: int


def spend(documents: pl.DataFrame, pairs: pl.DataFrame, seed: int, unused: int = 0) -> Spending:
    """Keep pairs at random while their tokens fit.

    Args:
        documents: `document_id` (unique) and `token_count`, in the order of the corpus.
        pairs: `pair_id` (unique), `document_id`, `token_count` (tokens of the training string), and any others.
        seed: Decides, together with the pair's id, the order of a document's pairs.
        unused: Tokens that earlier documents left over.

    Raises:
        ValueError: when a pair names a document that is not there, or a token count is negative.
    """
    strangers = pairs.join(documents, on="document_id", how="anti")
    if len(strangers):
        raise ValueError(f"pair {strangers['pair_id'][0]} is of document {strangers['document_id'][0]}, not given")
    if any((frame["token_count"] < 0).any() for frame in (documents, pairs)):
        raise ValueError("token counts must not be negative")
    kept, unused = _draw(_in_turn(documents, pairs, seed), unused)
    fits = pl.col("pair_id").is_in(kept)
    return Spending(pairs.filter(fits), pairs.filter(~fits), unused)


def _in_turn(documents: pl.DataFrame, pairs: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Documents in order, each with the ids and token counts of its pairs in the order of drawing."""
    lots = pl.Series("lot", [digest(seed, pair_id) for pair_id in pairs["pair_id"]], dtype=pl.String)
    drawn = (
        pairs.select("pair_id", "document_id", tokens="token_count")
        .with_columns(lots)
        .sort("lot", "pair_id")
        .group_by("document_id", maintain_order=True)
        .agg("pair_id", "tokens")
    )
    return documents.join(drawn, on="document_id", how="left", maintain_order="left").select(
        "token_count", "pair_id", "tokens"
    )


def _draw(turns: pl.DataFrame, unused: int) -> tuple[list[str], int]:
    kept: list[str] = []
    for earned, pair_ids, tokens in turns.iter_rows():
        unused += earned
        for pair_id, cost in zip(pair_ids or (), tokens or (), strict=True):
            if cost <= unused:
                kept.append(pair_id)
                unused -= cost
    return kept, unused
