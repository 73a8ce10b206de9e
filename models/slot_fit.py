"""Whether a slot is filled with the kind of thing that it asks for, by embeddings.

A language model of 135 million parameters puts a number where an animal is wanted. The cosine of a slot's description
and its value is low then: "number of body parts" and "Eurasian beaver" have 0.05, "second city" and "Porto" 0.36.

Not covered: whether it is the right one of its kind.
"""

from collections.abc import Sequence

from models.embedder import open_embedder
from models.refusals import Refusal
from models.settings import PassageSettings


def find_misfit(values: Sequence[str], descriptions: Sequence[str], settings: PassageSettings) -> Refusal | None:
    """A refusal as `slot_misfit` of the slot that fits worst, if it does not fit; another filling may."""
    vectors = open_embedder(settings.embedder).embed_texts([*descriptions, *values])
    cosines = (vectors[: len(values)] * vectors[len(values) :]).sum(axis=-1)
    worst = int(cosines.argmin())
    if (fit := float(cosines[worst])) >= settings.min_slot_fit:
        return None
    found = f"found {fit:.2f} for {descriptions[worst]!r} filled with {values[worst]!r}"
    return Refusal("slot_misfit", f"expected a fit of {settings.min_slot_fit:.2f} or more, {found}", malformed=True)
