"""The record of a published release, `release.json`: written last, so its existence means that the release is whole."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from models.settings import Settings
from tasks.funnel import StageTotals
from tasks.records import Counts, Kind, Source

ReleaseReason = Literal[
    "score_1",
    "score_2",
    "score_3",
    "score_4",
    "in_earlier_release",
    "exact_duplicate",
    "near_duplicate",
    "over_budget",
]
"""Why a judged pair is not in a release."""


class ReleaseFile(Settings):
    """One parquet file; `name` is relative to the release's folder."""

    name: str
    rows: int
    digest: str = Field(description="SHA-256 of the file's bytes, shortened.")


class SourceRows(Settings):
    """How many good rows of one kind were read from a source."""

    kind: Kind
    source: Source
    rows: int


class Release(Settings):
    """What was published, out of what, and how. Immutable: another key needs another name."""

    name: str
    key: str
    corpus: str
    counts: Counts = Field(description="All judged pairs of the shards: released, or left out for a reason.")
    rows: int
    tokens: int = Field(description="Of the released training strings.")
    documents: int = Field(description="Of the released shards, with pairs or not.")
    document_tokens: int = Field(description="The budget (paper 4.2).")
    files: tuple[ReleaseFile, ...]
    shards: int
    missing: tuple[str, ...] = Field(description="Shards that were asked for but not judged; not in this release.")
    funnel: tuple[StageTotals, ...]
    sources: tuple[SourceRows, ...]
    bank: str = Field(description="Version of the template bank.")
    models: dict[str, str] = Field(description="Role to name@revision.")
    prompts: dict[str, str] = Field(description="Role to digest of its prompt.")
    settings: dict[str, Any] = Field(description="Every setting that decides the result.")
    moderation: str = Field(description="What removed harmful queries when they were selected; off: nothing.")
    against: tuple[str, ...] = ()
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def folder(self) -> str:
        """Where it lies in the store."""
        return release_folder(self.name)


def release_folder(name: str) -> str:
    """Folder of a release in the store."""
    return f"releases/{name}"


def record_name(name: str) -> str:
    """Name of a release's record in the store."""
    return f"{release_folder(name)}/release.json"
