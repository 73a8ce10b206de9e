"""The token budget: never over at any prefix, nothing refused without need, the same every time."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.budget import Spending, spend

Corpus = list[tuple[int, list[int]]]
"""Per document its tokens and those of its pairs."""

properties = settings(max_examples=40, deadline=None)
corpora = st.lists(st.tuples(st.integers(0, 60), st.lists(st.integers(0, 40), max_size=6)), max_size=12)


def frames(corpus: Corpus) -> tuple[pl.DataFrame, pl.DataFrame]:
    documents = pl.DataFrame(
        [(f"d{number}", tokens) for number, (tokens, _) in enumerate(corpus)],
        schema={"document_id": pl.String, "token_count": pl.Int64},
        orient="row",
    )
    pairs = pl.DataFrame(
        [(f"d{d}p{p}", f"d{d}", cost) for d, (_, costs) in enumerate(corpus) for p, cost in enumerate(costs)],
        schema={"pair_id": pl.String, "document_id": pl.String, "token_count": pl.Int64},
        orient="row",
    )
    return documents, pairs


def spent(corpus: Corpus, seed: int = 0, unused: int = 0) -> Spending:
    return spend(*frames(corpus), seed, unused)


def kept_tokens(spending: Spending, documents: int) -> int:
    """Tokens kept for the first `documents` documents."""
    wanted = [f"d{number}" for number in range(documents)]
    return int(spending.kept.filter(pl.col("document_id").is_in(wanted))["token_count"].sum())


@properties
@given(corpora, st.integers(0, 3))
def test_kept_tokens_never_exceed_document_tokens_at_any_prefix(corpus: Corpus, seed: int) -> None:
    spending = spent(corpus, seed)
    for length in range(len(corpus) + 1):
        assert kept_tokens(spending, length) <= sum(tokens for tokens, _ in corpus[:length])


@properties
@given(corpora)
def test_both_halves_together_are_all_pairs_in_their_order(corpus: Corpus) -> None:
    _, pairs = frames(corpus)
    spending = spent(corpus)
    kept, over = spending.kept["pair_id"].to_list(), spending.over_budget["pair_id"].to_list()
    assert sorted(kept + over) == sorted(pairs["pair_id"])
    assert kept == [pair_id for pair_id in pairs["pair_id"] if pair_id in kept]
    assert spending.unused == sum(tokens for tokens, _ in corpus) - spending.kept["token_count"].sum()


@properties
@given(corpora, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_changes_nothing(corpus: Corpus, random: object) -> None:
    documents, pairs = frames(corpus)
    order = list(range(len(pairs)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert sorted(spend(documents, pairs[order], 0).kept["pair_id"]) == sorted(spent(corpus).kept["pair_id"])


@properties
@given(corpora)
def test_a_pair_is_refused_only_when_it_does_not_fit(corpus: Corpus) -> None:
    """With what the whole prefix left over in the end, none of its last document's refused pairs would have fitted."""
    for length in range(1, len(corpus) + 1):
        spending = spent(corpus[:length])
        refused = spending.over_budget.filter(pl.col("document_id") == f"d{length - 1}")
        assert (refused["token_count"] > spending.unused).all()


@properties
@given(corpora, st.integers(0, 30))
def test_a_larger_budget_of_the_last_document_never_keeps_fewer_tokens(corpus: Corpus, more: int) -> None:
    if not corpus:
        return
    *others, (tokens, costs) = corpus
    richer = spent([*others, (tokens + more, costs)])
    assert richer.kept["token_count"].sum() >= spent(corpus).kept["token_count"].sum()


@properties
@given(corpora, st.integers(0, 12))
def test_shard_by_shard_equals_all_at_once(corpus: Corpus, cut: int) -> None:
    documents, pairs = frames(corpus)
    first, second = documents[:cut], documents[cut:]
    in_first = pl.col("document_id").is_in(first["document_id"].to_list())
    left = spend(first, pairs.filter(in_first), 7)
    right = spend(second, pairs.filter(~in_first), 7, left.unused)
    whole = spend(documents, pairs, 7)
    assert pl.concat([left.kept, right.kept]).equals(whole.kept)
    assert right.unused == whole.unused


def test_documents_without_pairs_add_their_tokens() -> None:
    assert spent([(10, []), (1, [11])]).kept["pair_id"].to_list() == ["d1p0"]


def test_later_documents_lend_nothing_to_earlier_ones() -> None:
    assert spent([(1, [11]), (10, [])]).over_budget["pair_id"].to_list() == ["d0p0"]


def test_the_seed_decides_which_pairs_are_kept() -> None:
    corpus: Corpus = [(3, [1] * 6)] * 20
    kept = {tuple(spent(corpus, seed).kept["pair_id"]) for seed in range(5)}
    assert len(kept) == 5


def test_a_pair_of_an_unknown_document_is_an_error() -> None:
    documents, pairs = frames([(10, [1])])
    with pytest.raises(ValueError, match="pair d0p0 is of document d0"):
        spend(documents.clear(), pairs, 0)
