"""The threshold at a target precision."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from tasks.calibrate import calibrate, pick_threshold
from tasks.settings import load_profile
from tests.tasks.small_bank import SUBJECTS

PAIRS = st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


def test_lowest_threshold_of_the_wanted_precision_is_picked() -> None:
    """It keeps the most; what it keeps is counted with the threshold itself included."""
    found = pick_threshold([0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False], 0.75)
    assert (found.threshold, found.precision, found.recall, found.kept) == (0.6, 0.75, 1.0, 4)
    assert found.auc == pytest.approx(5 / 6)
    assert pick_threshold([0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False], 0.9).threshold == 0.8


@given(PAIRS, st.floats(0, 1))
def test_picked_threshold_has_what_it_says(pairs: list[tuple[int, bool]], precision: float) -> None:
    """And no lower one is as precise."""
    similarities, labels = [number / 20 for number, _ in pairs], [label for _, label in pairs]

    def precision_at(threshold: float) -> float:
        kept = [label for similarity, label in zip(similarities, labels, strict=True) if similarity >= threshold]
        return sum(kept) / len(kept)

    reachable = [threshold for threshold in set(similarities) if precision_at(threshold) >= precision]
    if not reachable:
        with pytest.raises(UsageError, match="no threshold reaches"):
            pick_threshold(similarities, labels, precision)
        return
    found = pick_threshold(similarities, labels, precision)
    assert found.threshold == min(reachable)
    assert found.precision == pytest.approx(precision_at(found.threshold))
    assert found.kept == sum(similarity >= found.threshold for similarity in similarities)


def test_unreachable_precision_names_the_best_one() -> None:
    """So that the user knows what to ask for."""
    with pytest.raises(UsageError, match=r"no threshold reaches precision 0\.9: the best is 0\.500 at threshold 0\.1"):
        pick_threshold([0.9, 0.1], [False, True], 0.9)


def test_one_kind_of_label_is_no_calibration() -> None:
    """There is nothing to tell apart."""
    with pytest.raises(UsageError, match="2 of one kind"):
        pick_threshold([0.9, 0.1], [True, True], 0.9)


def test_labels_are_read_and_compared_as_in_matching(tmp_path: Path) -> None:
    """The real MiniLM tells subjects apart; fields that are not needed are ignored."""
    pairs = [
        {"document": f"All about {name}. {text}", "compatible_document_description": other, "compatible": text == other}
        for name, text in SUBJECTS.items()
        for other in SUBJECTS.values()
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"document_id": "x", **pair}) + "\n" for pair in pairs))
    found = calibrate(str(labels), load_profile("tiny"), 0.95)
    assert (found.precision, found.recall, found.kept, found.auc) == (1.0, 1.0, 5, 1.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected jsonl with document"),
        ("not json\n", "expected jsonl with document"),
        ('{"document": "a", "compatible_document_description": "b", "compatible": true}\n{"document": "a"}\n', "row 2"),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    """Missing, not json, incomplete."""
    labels = tmp_path / "labels.jsonl"
    if content is not None:
        labels.write_text(content)
    with pytest.raises(UsageError, match=message):
        calibrate(str(labels), load_profile("tiny"), 0.5)
