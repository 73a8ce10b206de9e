"""The passage of a document that answers an instruction, found by embeddings.

A language model of 135 million parameters fills slots well enough but quotes what it happens to copy; an embedder
trained on questions and answers finds the right sentences far more often. Passages are excerpts that `models.anchors`
offers, of a few whole sentences that end as statements do, so that no heading and no question is among them; of the
numbered steps of a list they have all or none. A
passage's vector is the mean of those of its sentences, weighted by the square root of their lengths, so that every
sentence is embedded once.

Not covered: answers put together from several places.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.anchors import Offer, offers
from models.embedder import open_embedder
from models.refusals import Refusal
from models.sentences import Span
from models.settings import PassageSettings

FEWEST_CHARACTERS = 40
"""A passage is longer than a heading."""

LONGER = 0.03
"""What a further sentence adds to a passage's cosine when the nearest is chosen; one sentence alone seldom answers.

On 141 held-out labels, with up to five sentences, 57 % of what is chosen has more than nine tenths of the labelled
answer, with up to three and 0.02 38 %; the mean F1 is 0.60 and 0.61."""

_STEP = re.compile(r"^[ \t]*\(?(\d{1,3})[.)] ", re.MULTILINE)
_ENDED = re.compile(r"[.!…][\"'”’)\]»*_]*\Z")


@dataclass(frozen=True)
class Candidates:
    """The N passages of a window, its M sentences, and what a sentence adds to a passage's vector, `[N, M]`."""

    offers: tuple[Offer, ...]
    sentences: tuple[str, ...]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Passages:
    """The passages of a window, and their vectors `[N, d]`, L2-normalised."""

    offers: tuple[Offer, ...]
    vectors: NDArray[np.float32]


def find_passage(instruction: str, document: str, window: Span, settings: PassageSettings) -> Offer | Refusal:
    """The passage of `document[window[0]:window[1]]` nearest to the instruction.

    Refused as `no_passage` when it is too far, which is worth asking for another instruction, or there is none at all.
    """
    passages = _passages(document, window, settings)
    if not passages.offers:
        return Refusal("no_passage", f"no sentences that could answer in characters {window[0]} to {window[1]}")
    cosines = passages.vectors @ open_embedder(settings.embedder).embed_texts([instruction])[0]
    nearest = choose(cosines, passages.offers)
    if (relevance := float(cosines[nearest])) >= settings.min_relevance:
        return passages.offers[nearest]
    detail = f"expected relevance {settings.min_relevance:.2f} or more, found {relevance:.2f} for {instruction[:200]!r}"
    return Refusal("no_passage", detail, malformed=True)


def choose(cosines: NDArray[np.float32], passages: Sequence[Offer]) -> int:
    """Number of the passage that answers, by the cosines `[N]` of the passages and an instruction."""
    return int(np.argmax(cosines + LONGER * np.array([offer.last - offer.first for offer in passages])))


def candidates(document: str, window: Span, settings: PassageSettings) -> Candidates:
    """The passages of `document[window[0]:window[1]]` that may answer something, by first and then by last sentence."""
    offered = offers(document, window)
    alone = {offer.first: offer for offer in offered if offer.first == offer.last}
    able = tuple(offer for offer in offered if _may_answer(offer, document, alone, settings))
    weights = [[np.sqrt(alone[number].characters) * (number in _numbers(offer)) for number in alone] for offer in able]
    sentences = tuple(document[slice(*offer.span)] for offer in alone.values())
    return Candidates(able, sentences, np.array(weights, dtype=np.float32).reshape(len(able), len(sentences)))


@lru_cache(maxsize=64)
def _passages(document: str, window: Span, settings: PassageSettings) -> Passages:
    """Remembered for as many windows as may be in flight."""
    found = candidates(document, window, settings)
    if not found.offers:
        return Passages((), np.zeros((0, 0), dtype=np.float32))
    vectors = found.weights @ open_embedder(settings.embedder).embed_texts(found.sentences)
    return Passages(found.offers, vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _numbers(offer: Offer) -> range:
    return range(offer.first, offer.last + 1)


def _may_answer(offer: Offer, document: str, alone: Mapping[int, Offer], settings: PassageSettings) -> bool:
    return (
        offer.characters >= FEWEST_CHARACTERS
        and offer.last - offer.first < settings.sentences
        and alone.keys() >= set(_numbers(offer))
        and all(_ENDED.search(document[slice(*alone[number].span)]) for number in _numbers(offer))
        and not _cuts_steps(document, offer.span)
        and offer.start.partition(" ")[0].strip(",").casefold() not in settings.dangling
    )


def _cuts_steps(document: str, passage: Span) -> bool:
    """Whether a passage has some of the numbered steps of a list, and not all of them."""
    start, end = passage
    line = document.rfind("\n", 0, start) + 1
    steps = [int(number) for number in _STEP.findall(document, line, end)]
    following = _STEP.search(document, end)
    return bool(steps) and (steps[0] != 1 or (following is not None and int(following.group(1)) == steps[-1] + 1))
