"""Exact and near-duplicates of texts; the first in order stays.

Exact means equal without case, punctuation and whitespace. Near means a Jaccard similarity of character 5-grams of that
form; queries are short, and one changed word of five would leave no word 3-gram in common. Candidates come from MinHash
(datasketch) and are compared exactly, so nothing is removed for a collision; what MinHash misses (one or two in a
hundred pairs just above the threshold) stays in.
Deterministic. Kept in memory: about 8 KB a kept text; a million of them need 8 GB.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CHARACTERS = 5
"""Characters of a shingle."""

PERMUTATIONS = 128

MARGIN = 0.1
"""MinHash looks this much below the wanted similarity: there it finds 98 of 100 pairs, at its own threshold fewer."""

# False negatives cannot be made good, false positives are found out by the exact comparison.
_ERROR_WEIGHTS = (0.2, 0.8)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Why a text goes: it is a duplicate of the text with the id `kept`."""

    reason: Literal["exact_duplicate", "near_duplicate"]
    kept: str


class DuplicateIndex:
    """All texts kept so far.

    Args:
        similarity: Jaccard similarity, over 0 and up to 1, from which a text is a near-duplicate.
    """

    def __init__(self, similarity: float) -> None:
        from datasketch import MinHash, MinHashLSH

        self._similarity = similarity
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._exact: dict[str, int] = {}
        # Copied for every text, because making its permutations costs more than using them.
        self._empty = MinHash(num_perm=PERMUTATIONS)
        threshold = max(similarity - MARGIN, 0.1)
        self._near = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=_ERROR_WEIGHTS)

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, ids: Sequence[str], texts: Sequence[str]) -> list[Duplicate | None]:
        """What each text duplicates, of the texts kept earlier or before it in this call; the others are kept."""
        return [self._find(identifier, text) for identifier, text in zip(ids, texts, strict=True)]

    def _find(self, identifier: str, text: str) -> Duplicate | None:
        text = normalise(text)
        if (position := self._exact.get(text)) is not None:
            return Duplicate("exact_duplicate", self._ids[position])
        if (position := self._nearest(text)) is not None:
            return Duplicate("near_duplicate", self._ids[position])
        self._exact[text] = len(self._ids)
        self._ids.append(identifier)
        self._texts.append(text)
        return None

    def _nearest(self, text: str) -> int | None:
        """Position of the most similar kept text that is similar enough; otherwise the text enters the index."""
        shingles = shingle(text)
        sketch = self._empty.copy()
        sketch.update_batch([part.encode() for part in shingles])
        candidates = ((jaccard(shingles, shingle(self._texts[place])), -place) for place in self._near.query(sketch))
        similarity, place = max(candidates, default=(0.0, 0))
        if similarity >= self._similarity:
            return -place
        self._near.insert(len(self._ids), sketch, check_duplication=False)
        return None


def normalise(text: str) -> str:
    """The words in lower case with single spaces between; a text without words only loses case and outer blanks."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text.casefold().strip()


def shingle(text: str) -> frozenset[str]:
    """The character 5-grams of a text; the text itself when it is shorter."""
    return frozenset(text[start : start + CHARACTERS] for start in range(max(1, len(text) - CHARACTERS + 1)))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Shared shingles over all shingles, from 0 to 1."""
    return len(left & right) / len(left | right)
