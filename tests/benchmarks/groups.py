"""The groups of figures: one module each, with a function `measure`."""

from enum import StrEnum
from importlib import import_module

from tests.benchmarks.figures import Figure, Sizes


class Group(StrEnum):
    """The modules that measure."""

    ENGINE = "engine"
    LAYOUT = "layout"
    MATCH = "match"
    STORAGE = "storage"
    MEMORY = "memory"
    SERVICE = "service"


def measure(group: Group, sizes: Sizes) -> list[Figure]:
    """The figures of a group, measured in this process; nothing of another group is imported."""
    figures: list[Figure] = import_module(f"tests.benchmarks.{group}").measure(sizes)
    return figures
