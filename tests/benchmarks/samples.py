"""What the figures are measured on: the bundled sample, and the development data where it is there."""

import json
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

from models.sentences import sentences

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deployments" / "sample"
SILVER = ROOT.parent / "shared" / "silver"


def sample_texts() -> list[str]:
    """The bundled documents, 300 to 400 words each."""
    return [json.loads(line)["text"] for line in (SAMPLE / "documents.jsonl").open(encoding="utf-8")]


def texts_of_many_lengths(count: int) -> list[str]:
    """Beginnings of the bundled documents, of 40 to 300 words: what fits one window of 512 tokens."""
    documents = [text.split(" ") for text in sample_texts()]
    return [" ".join(documents[number % len(documents)][: 40 + number * 37 % 261]) for number in range(count)]


def descriptions(most: int) -> list[str]:
    """Different descriptions of documents; without the development data, sentences of the bundled ones."""
    found = _silver_descriptions() if SILVER.is_dir() else _sentences()
    return list(islice(dict.fromkeys(found), most))


def _silver_descriptions() -> Iterator[str]:
    for name in ("genericizer", "instantiator", "retrieved"):
        with (SILVER / f"{name}.jsonl").open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if description := row.get("compatible_document_description"):
                    yield description


def _sentences() -> Iterator[str]:
    """Every sentence, and every two that follow each other."""
    for text in sample_texts():
        spans = sentences(text)
        yield from (text[start:end] for start, end in spans)
        yield from (text[start:end] for (start, _), (_, end) in pairwise(spans))
