"""The figures, on answers whose figures are known."""

import math

import pytest

from models.training.measures import agreement, choose_bias, excerpt_words, f1, null_margin, slot_words


def test_f1_counts_what_is_common() -> None:
    assert f1({1, 2, 3}, {2, 3, 4}) == pytest.approx(2 / 3)
    assert f1(set(), {1}) == 0
    assert f1(set(), set()) == 1


def test_slot_words_are_the_words_of_the_query_that_are_replaced() -> None:
    query = "how do I store rye bread in summer"
    assert slot_words("how do I store <fi>food</fi> in <fi>season</fi>", query) == {4, 5, 7}
    assert slot_words("how do they store <fi>food</fi>", query) == set()


def test_excerpt_words_are_the_words_of_the_document_that_are_quoted() -> None:
    document = "Bread keeps. Store it cut side down on wood."
    assert excerpt_words("Yes. <excerpt>Store it<...>on wood.</excerpt>", document) == {2, 3, 4, 5, 6, 7, 8}
    assert excerpt_words("<excerpt>Not in it</excerpt>", document) == set()


def test_the_bias_separates_what_can_be_separated() -> None:
    odds, is_null = [-9.0, -7.0, -3.0, -2.0], [False, False, True, True]
    bias = choose_bias(odds, is_null)
    assert bias == pytest.approx(5.0)
    assert null_margin(odds, is_null, bias).balanced_accuracy == 1
    assert null_margin(odds, is_null, 0.0).balanced_accuracy == 0.5
    assert null_margin(odds, is_null, 0.0).auc == 1


def test_where_no_bias_separates_nothing_is_called_null() -> None:
    odds, is_null = [-1.0, -2.0, -3.0], [False, False, True]
    bias = choose_bias(odds, is_null)
    assert bias == pytest.approx(1.0)
    assert not any(odd + bias > 0 for odd in odds)


def test_agreement_is_whole_for_the_same_scores_and_gated_at_four() -> None:
    assert agreement([1, 3, 5], [1, 3, 5]) == (1.0, 1.0)
    kappa, gate = agreement([3, 4, 5, 1], [4, 4, 4, 2])
    assert 0 < kappa < 1
    assert gate == 0.75
    assert all(map(math.isnan, agreement([], [])))
