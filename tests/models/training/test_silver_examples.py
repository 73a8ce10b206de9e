"""Hand-made labels (../shared/silver) in the words of the grammars."""

import json
from pathlib import Path
from typing import Any

from models.engine import Completion, Request
from models.excerpts import Expansion, expand
from models.grammar_check import allows
from models.instantiator import Instantiated, Instantiator
from models.settings import InstantiatorSettings
from models.training.examples import Example, PairLabel, pair_example

SETTINGS = InstantiatorSettings(engine="tiny", prompt="bare")


def rows(shared: Path) -> list[dict[str, Any]]:
    with (shared / "silver" / "instantiator.jsonl").open(encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["compatible"]][:80]


def test_most_pairs_can_be_said_and_are_read_back(shared: Path) -> None:
    """The instruction is the label's, and the answer holds all that the label quotes."""
    instantiator = Instantiator(SETTINGS)
    labels = rows(shared)
    said = 0
    for row in labels:
        label = PairLabel(row["template"], row["document"], row["instruction"], row["answer"])
        example = pair_example("p", label, SETTINGS)
        if not isinstance(example, Example):
            continue
        said += 1
        window = (0, len(label.document))
        request = instantiator.request("p", label.template, label.document, window)
        assert isinstance(request, Request)
        assert request.grammar
        assert allows(request.grammar, example.completion)
        read = instantiator.read(label.template, label.document, window, Completion("p", example.completion, "stop"))
        assert isinstance(read, Instantiated)
        assert read.instruction.split() == row["instruction"].split()
        quoted = {place for span in read.excerpts for place in range(span.document_start, span.document_end)}
        wanted = expand(row["answer"], label.document, window)
        assert isinstance(wanted, Expansion)
        for span in wanted.excerpts:
            missing = [place for place in range(span.document_start, span.document_end) if place not in quoted]
            assert not any(label.document[place].isalpha() for place in missing)
    assert said >= 0.9 * len(labels)
