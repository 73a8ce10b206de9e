"""Decontamination of queries against benchmark files, by the procedure of Tulu 3 (paper 3.1).

The score of an evaluation row is the share of its tokens covered by n-grams that it shares with one query. A query that
covers more than the allowed share of any evaluation row is contaminated. Rows shorter than an n-gram have none;
they contaminate a query that equals them. Tokens are words without case and punctuation.
Evaluation files are read like query files; rows that have no text there are left out and logged.
Not covered: scripts without spaces between words, where a token is a run of characters; paraphrases.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.refusals import Refusal
from tasks.extract import Extractor, Item
from tasks.inputs import source_settings, stem
from tasks.readers import Reading, read_file
from tasks.records import InputFile
from tasks.settings import ReadSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """A row of a benchmark; `place` names its file and row."""

    place: str
    tokens: tuple[str, ...]


class Decontaminator:
    """Finds queries that give an evaluation row away.

    Args:
        rows: The evaluation rows.
        ngram: Tokens of an n-gram.
        max_overlap: Share of an evaluation row's tokens that a query may cover.
    """

    def __init__(self, rows: Iterable[EvaluationRow], ngram: int, max_overlap: float) -> None:
        self._ngram = ngram
        self._max_overlap = max_overlap
        self._rows = [row for row in rows if row.tokens]
        self._short = {row.tokens: row for row in self._rows if len(row.tokens) < ngram}
        self._places: defaultdict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
        for number, row in enumerate(self._rows):
            for position, gram in enumerate(ngrams(row.tokens, ngram)):
                self._places[gram].append((number, position))

    def __call__(self, texts: Sequence[str]) -> list[Refusal | None]:
        """A refusal with reason `contaminated`, or None, per text."""
        return [self._check(tokenize(text)) for text in texts]

    def _check(self, tokens: tuple[str, ...]) -> Refusal | None:
        if row := self._short.get(tokens):
            return Refusal("contaminated", f"equals {row.place}")
        covered: defaultdict[int, set[int]] = defaultdict(set)
        for gram in set(ngrams(tokens, self._ngram)):
            for number, position in self._places.get(gram, ()):
                covered[number].update(range(position, position + self._ngram))
        scores = ((len(places) / len(self._rows[number].tokens), -number) for number, places in covered.items())
        score, number = max(scores, default=(0.0, 0))
        if score > self._max_overlap:
            return Refusal("contaminated", f"covers {score:.0%} of {self._rows[-number].place}")
        return None


def read_evaluation(settings: ReadSettings, files: Iterable[InputFile]) -> list[EvaluationRow]:
    """The rows of benchmark files, of any length."""
    lengthless = settings.model_copy(update={"min_characters": 1, "max_characters": 2**62})
    rows: list[EvaluationRow] = []
    for file in files:
        extractor = Extractor(lengthless, source_settings(settings, file.url), stem(file.url))
        reading = Reading("line", extractor.columns)
        items = [item for row in read_file(file.url, reading) for item in extractor.items(row)]
        rows += [_evaluation_row(file, item) for item in items if item.refusal is None]
        if refused := [item.refusal for item in items if item.refusal is not None]:
            logger.warning(
                "evaluation file %s: %d rows without a text, first: %s", file.url, len(refused), refused[0].detail
            )
    return rows


def _evaluation_row(file: InputFile, item: Item) -> EvaluationRow:
    return EvaluationRow(f"{file.url} row {item.row}", tokenize(item.text))


def tokenize(text: str) -> tuple[str, ...]:
    """The words of a text, without case."""
    return tuple(re.findall(r"\w+", text.casefold()))


def ngrams(tokens: tuple[str, ...], size: int) -> Iterable[tuple[str, ...]]:
    """All runs of `size` tokens, in order."""
    return (tokens[start : start + size] for start in range(len(tokens) - size + 1))
