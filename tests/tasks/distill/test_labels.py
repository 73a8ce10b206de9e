"""Files of labels: what is incomplete is named, what is there twice is counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import UsageError
from tasks.distill.labels import read_judge_labels
from tasks.distill.matching_labels import read_matching_labels

TEXT = "Bees make honey out of nectar. They dance to tell each other where flowers grow."
ROW = {
    "document_id": "bees",
    "document": TEXT,
    "template": "what of <fi>a thing</fi>?",
    "compatible_document_description": "A text about an animal.",
    "compatible": True,
    "instruction": "what of bees?",
    "answer": "<excerpt>Bees make honey out of nectar.</excerpt>",
    "score": 5,
}


def file(folder: Path, *rows: dict[str, Any]) -> str:
    """The rows in a file of labels."""
    path = folder / "instantiator.jsonl"
    path.write_text("".join(json.dumps({**ROW, **row}) + "\n" for row in rows))
    return str(path)


def test_a_score_of_no_answer_names_its_row(tmp_path: Path) -> None:
    flawed = [{"answer": "They sting.", "score": 1}, {"answer": None, "score": 2}]
    with pytest.raises(UsageError, match=r"row 2 of 2 lacks one of flawed\.answer"):
        read_judge_labels(file(tmp_path, {}, {"flawed": flawed}))
    assert len(read_judge_labels(file(tmp_path, {"flawed": flawed[:1]}))[0]) == 2


def test_the_second_label_of_a_pair_is_rejected(tmp_path: Path) -> None:
    kept, rejected = read_judge_labels(file(tmp_path, {}, {"score": 1}, {"document": f"{TEXT} So they do."}))
    assert kept["score"].to_list() == [5, 5]
    assert rejected["reason"].to_list() == ["repeated"]


def test_how_much_of_an_answer_is_quoted_is_the_profiles_to_say(tmp_path: Path) -> None:
    half = file(tmp_path, {"answer": "Of the bees it is said: <excerpt>Bees make honey out of nectar.</excerpt>"})
    labels, rejected = read_matching_labels([half])
    assert not labels
    assert rejected["reason"].to_list() == ["excerpt_share_low"]
    assert len(read_matching_labels([half], 0.5)[0]) == 1
