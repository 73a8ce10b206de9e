"""The small records that travel between tasks and flows; never a frame, never a document.

All are frozen and JSON-able. `Counts` refuses to exist when its rows do not reconcile.
"""

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from models.settings import Settings

Stage = Literal["ingest", "select", "mine", "index", "match", "instantiate", "judge", "release"]
STAGES: tuple[Stage, ...] = ("ingest", "select", "mine", "index", "match", "instantiate", "judge", "release")
Kind = Literal["queries", "documents"]


class Source(Settings):
    """Where rows come from; travels with every row into the data card."""

    name: str
    licence: str = "unknown"
    revision: str = ""
    url: str = ""


class InputFile(Settings):
    """One input file and the identity of its content (size and etag, checksum or modification time)."""

    url: str
    identity: str
    source: Source


class Shard(Settings):
    """A row range of one input file, already read into the store; its key changes with the file's content."""

    kind: Kind
    name: str
    key: str = Field(description="Key of the ingest receipt.")
    file: InputFile
    rows: int = Field(description="Good rows: documents or queries.")
    tokens: int = Field(0, description="Tokens of the good rows; 0 for queries.")


class Tokens(Settings):
    """Tokens an engine handled; `cached` are the prompt tokens it did not have to compute."""

    prompt: int = 0
    cached: int = 0
    output: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            prompt=self.prompt + other.prompt, cached=self.cached + other.cached, output=self.output + other.output
        )


class Counts(Settings):
    """Rows of one stage, in units of its input; `rows in = rows out + rejected + failed` always.

    Raises:
        ValueError: when the sum does not hold.
    """

    rows_in: int = 0
    rows_out: int = 0
    rejected: dict[str, int] = Field(default_factory=dict)
    failed: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def reconcile(self) -> Self:
        """Refuse counts in which a row is lost or doubled."""
        accounted = self.rows_out + sum(self.rejected.values()) + sum(self.failed.values())
        if accounted != self.rows_in:
            raise ValueError(
                f"rows do not reconcile: {self.rows_in} in, but {self.rows_out} out + "
                f"{self.rejected} rejected + {self.failed} failed = {accounted}"
            )
        return self

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            rows_in=self.rows_in + other.rows_in,
            rows_out=self.rows_out + other.rows_out,
            rejected=_merge(self.rejected, other.rejected),
            failed=_merge(self.failed, other.failed),
        )


def _merge(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted(left.keys() | right.keys())}


class Part(Settings):
    """A finished piece of a stage on a shard, which vouches for its files."""

    number: int
    rows: int = Field(
        description="Rows of the part file; may differ from `counts.rows_out` (a document has 0-6 matches)."
    )
    digest: str = Field(description="SHA-256 of the bytes of the part's rows, shortened.")
    rejected_digest: str = Field("", description="The same of its other rows; empty when it has none.")
    counts: Counts
    tokens: Tokens = Tokens()
    seconds: float = 0.0

    @property
    def file(self) -> str:
        """Name of the file of its rows."""
        return part_file(self.number, self.digest)

    @property
    def rejected_file(self) -> str:
        """Name of the file of its rejected and failed rows."""
        return f"rejected-{self.number:05d}-{self.rejected_digest}.parquet"


def part_file(number: int, digest: str) -> str:
    """Name of the file of a part's rows; the digest in it keeps apart what two workers made of the same rows."""
    return f"part-{number:05d}-{digest}.parquet"


class Receipt(Settings):
    """What a stage did to a shard. It is written last: its existence means that everything it names is complete."""

    stage: Stage
    shard: str
    key: str
    inputs: tuple[str, ...] = Field((), description="Keys of the receipts this one was made from.")
    models: dict[str, str] = Field(default_factory=dict, description="Role to name@revision.")
    prompt_digest: str = ""
    counts: Counts
    rows: int = Field(description="Rows made, over all parts.")
    tokens: Tokens = Tokens()
    seconds: float = 0.0
    parts: tuple[Part, ...] = ()
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Failure(Settings):
    """One failed attempt of a stage on a shard; three of them put the shard in quarantine."""

    stage: Stage
    shard: str
    key: str
    error: str
    message: str
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Scope(Settings):
    """Where a run works and with which settings: all that a task needs to find its shard.

    Args:
        store: URL of the store (file, memory, s3, gs, ... whatever fsspec opens).
        corpus: Name of the pile of documents and queries inside the store.
        profile: `tiny`, `paper`, `server`, or the path or URL of a TOML file.
        overrides: Single settings, as `match.threshold=0.4`.
        bank: Version of the template bank; empty means the current one.
    """

    store: str = Field(description="URL of the store: a folder, s3://..., gs://..., memory://...")
    corpus: str = Field("main", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    profile: str = Field("tiny", description="`tiny`, `paper`, `server`, `teacher`, or a TOML file.")
    overrides: tuple[str, ...] = Field((), description="Single settings, as `match.threshold=0.4`.")
    bank: str = Field("", description="Version of the template bank; empty means the current one.")

    def with_bank(self, version: str) -> "Scope":
        """The same scope, pinned to one version of the template bank."""
        return self.model_copy(update={"bank": version})


class Manifest(Settings):
    """What an input file became: its shards, in order, and the rows that were refused. Written after all of them."""

    file: InputFile
    kind: Kind
    key: str
    shards: tuple[Shard, ...]
    counts: Counts


class Corpus(Settings):
    """What a corpus consists of now: the URLs it was taken from and the manifests of the files found there.

    Written after every listing; a file that is gone is not named any more, so its rows leave the next release.
    """

    kind: Kind
    urls: tuple[str, ...]
    manifests: tuple[str, ...] = Field(description="Names of manifests in the store, in the order of their files.")


class Selection(Settings):
    """The queries of one shard that survived the global clean-up; what `mine` works on."""

    shard: str
    folder: str = Field(description="Folder of the select receipt.")
    number: int = Field(description="Number of the part in that folder.")
    digest: str = Field(description="Digest of the part: the same queries make the same key.")
    rows: int

    @property
    def file(self) -> str:
        """Name of the queries' file in the store."""
        return f"{self.folder}/{part_file(self.number, self.digest)}"


class Bank(Settings):
    """A published version of the template bank (paper 3.2); `bank.json`, written last."""

    version: str
    templates: int
    embedder: str = Field(description="name@revision of the embedder that made the vectors.")
    embedder_digest: str = Field(description="Digest of everything that decides a vector.")
    dimensions: int
    genericizer: str = Field(description="name@revision of the model that made the templates.")
    complexity: dict[int, int] = Field(description="Slots per template to templates, overall.")
    reference_complexity: dict[int, int] = Field(
        description="The same for the reference sources; the target of sampling."
    )
    reference_sources: tuple[str, ...]
    sources: dict[str, int] = Field(description="Source of queries to templates.")
    recall_at_10: float = Field(description="Of usearch against exact search, on a sample, measured at build.")
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


class CurrentBank(Settings):
    """The pointer `bank/current.json`."""

    version: str
