"""How near a model's answers are to labels: pure functions of answers and labels, one per figure.

Not covered: whether an answer that differs from its label is good as well; several templates of a query are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.excerpts import Expansion, expand
from models.grammars.genericizer import query_words
from models.sentences import Span
from models.templates import Template, replaced_spans
from models.windows import tokens_in

GATE = 4
"""Least score of a pair that is kept (paper 3.4)."""


def f1(found: set[int], wanted: set[int]) -> float:
    """Harmonic mean of precision and recall of one answer; 1 when both sets are empty."""
    return 2 * len(found & wanted) / (len(found) + len(wanted)) if found or wanted else 1.0


def slot_words(template: str, query: str) -> set[int]:
    """Which words of the query the template replaces, by number; none when it is no template of the query."""
    spans = replaced_spans(Template.parse(template), query) or []
    return _covered(query_words(query), spans)


def excerpt_words(answer: str, document: str) -> set[int]:
    """Which words of the document an answer with excerpt markup quotes, by number; none when it cannot be expanded."""
    expansion = expand(answer, document, (0, len(document)))
    if not isinstance(expansion, Expansion):
        return set()
    return document_words(document, [(quoted.document_start, quoted.document_end) for quoted in expansion.excerpts])


def document_words(document: str, spans: Iterable[Span]) -> set[int]:
    """Which words of the document lie in one of the spans, by number."""
    return _covered(query_words(document), spans)


def _covered(words: Sequence[Span], spans: Iterable[Span]) -> set[int]:
    ordered = sorted(spans)
    return {number for number, word in enumerate(words) if tokens_in(ordered, word)}


@dataclass(frozen=True)
class Margin:
    """A bias on `null` and what it does: `auc` does not depend on it, `balanced_accuracy` does."""

    bias: float
    auc: float
    balanced_accuracy: float


def choose_bias(log_odds: Sequence[float], is_null: Sequence[bool]) -> float:
    """The bias on `null` that tells documents apart best, by balanced accuracy; to be chosen on training labels.

    Where no bias is better than chance, the one with which nothing is called null.

    Args:
        log_odds: Of `null` against a pair, per request.
        is_null: Whether the label is null; both kinds must occur.
    """
    import numpy as np
    from sklearn.metrics import roc_curve

    false, true, thresholds = roc_curve(is_null, log_odds, drop_intermediate=False)
    best = float(thresholds[np.argmax(true - false)])
    if np.isinf(best):
        return -max(log_odds)
    # Halfway to the next value, so that the margin does not hang on the last bits of one of them.
    return -(best + max(odds for odds in log_odds if odds < best)) / 2


def null_margin(log_odds: Sequence[float], is_null: Sequence[bool], bias: float) -> Margin:
    """How well `null` is told from pairs with a given bias; both kinds must occur."""
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    said = [odds + bias > 0 for odds in log_odds]
    return Margin(bias, float(roc_auc_score(is_null, log_odds)), float(balanced_accuracy_score(is_null, said)))


def agreement(scores: Sequence[int], wanted: Sequence[int]) -> tuple[float, float]:
    """Quadratic weighted kappa, and accuracy of the gate at `GATE`; not numbers when there are no scores."""
    from sklearn.metrics import cohen_kappa_score

    if not scores:
        return float("nan"), float("nan")
    kappa = float(cohen_kappa_score(wanted, scores, labels=[1, 2, 3, 4, 5], weights="quadratic"))
    same = [(score >= GATE) == (label >= GATE) for score, label in zip(scores, wanted, strict=True)]
    return kappa, sum(same) / len(same)
