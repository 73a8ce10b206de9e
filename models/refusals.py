"""Why an input was not asked about, or an answer not kept: a value, never an exception.

A refusal concerns one row and is counted by its reason; errors that concern more than a row are in `models.errors`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """A counted reason, what was found, and whether asking again with another seed may help (`malformed`)."""

    reason: str
    detail: str = ""
    malformed: bool = False
