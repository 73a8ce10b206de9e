"""A profile: every setting of a run, from a TOML file, checked before anything starts.

Unknown keys are refused with the nearest known name. A profile may extend another one (`base = "tiny"`), and single
settings can be overridden (`match.threshold=0.4`).
"""

import difflib
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, Self

import fsspec
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from models.errors import UsageError
from models.settings import (
    EmbedderSettings,
    EngineSettings,
    GenericizerSettings,
    InstantiatorSettings,
    JudgeSettings,
    Settings,
)
from models.training.contrast import ContrastSettings
from models.training.passages import PassageTrainingSettings
from models.training.settings import TrainSettings
from tasks.storage import driver_errors

BUILT_IN = ("tiny", "paper", "server", "teacher")

UNREADABLE: tuple[type[Exception], ...] = (ValueError,)
"""What a file that is no TOML and a URL that is none raise; stores have errors of their own."""


class SourceSettings(Settings):
    """How to read the input files whose URL matches, and what the data card says of them. Paths are dotted."""

    match: str = Field("*", description="Glob on the file's URL; the first matching entry counts.")
    name: str = Field("", description="Empty: the row's own `source`, else the file's name.")
    licence: str = "unknown"
    revision: str = ""
    url: str = ""
    text: str = Field("", description="Field of the text; empty: the first of `text_fields` that a row has.")
    id: str = Field("", description="Field of the id; empty: the first of `id_fields`, else a digest of the text.")
    messages: str = Field("", description="Field of a chat log; each user turn becomes a row.")


class ReadSettings(Settings):
    """How input files become shards."""

    sources: tuple[SourceSettings, ...] = ()
    text_fields: tuple[str, ...] = ("text", "query", "question", "prompt", "instruction", "content", "body")
    id_fields: tuple[str, ...] = ("id", "_id", "query_id", "document_id")
    text_unit: Literal["file", "line"] = Field("file", description="What a row of a plain text file is.")
    min_characters: int = Field(1, ge=1)
    max_characters: int = Field(2_000_000, ge=1)
    shard_rows: int = Field(1000, ge=1, description="Most rows of a shard.")
    shard_characters: int = Field(20_000_000, ge=1, description="Characters after which a shard is closed.")


class ModerationSettings(Settings):
    """Removal of harmful queries (paper 3.1), a pluggable step."""

    kind: Literal["off", "endpoint", "guard"] = "off"
    url: str = Field("", description="Endpoint: base URL of an OpenAI-compatible API.")
    model: str = ""
    api_key_env: str = ""
    engine: str = Field("", description="Guard: name of an entry in `[engines]`.")


class QueriesSettings(ReadSettings):
    """Reading and cleaning of queries (paper 3.1)."""

    text_unit: Literal["file", "line"] = "line"
    min_characters: int = Field(8, ge=1)
    max_characters: int = Field(2000, ge=1)
    languages: tuple[str, ...] = Field(("en",), description="ISO 639-1 codes to keep; empty keeps all.")
    min_language_confidence: float = Field(0.1, ge=0, le=1, description="That a query is in one of them.")
    near_duplicate_similarity: float = Field(0.85, gt=0, le=1, description="Jaccard similarity of character 5-grams.")
    evaluation_files: tuple[str, ...] = Field((), description="Globs of benchmark files to decontaminate against.")
    ngram: int = Field(8, ge=1, description="Tokens of an n-gram (Tulu 3 procedure).")
    max_overlap: float = Field(0.5, ge=0, le=1, description="Share of an evaluation row that may be covered.")
    moderation: ModerationSettings = ModerationSettings()


class IndexSettings(Settings):
    """The approximate index over the descriptions (paper 3.2)."""

    dtype: Literal["f32", "f16", "i8"] = "f16"
    connectivity: int = Field(32, ge=2)
    expansion_add: int = Field(128, ge=1)
    expansion_search: int = Field(128, ge=1)
    reference_sources: tuple[str, ...] = Field(
        (), description="Sources whose complexity histogram sampling aims at (paper 3.2: chat logs); empty: all."
    )
    recall_sample: int = Field(1000, ge=1)


class MatchSettings(Settings):
    """Documents to templates (paper 3.2, 4.2)."""

    threshold: float = Field(0.865, ge=-1, le=1, description="Least cosine; belongs to the embedder.")
    templates_per_document: int = Field(6, ge=1)
    candidates: int = Field(32, ge=1, description="Neighbours fetched per embedding.")
    seed: int = 0
    part_rows: int = Field(256, ge=1, description="Documents per part.")


class ReleaseSettings(Settings):
    """Assembly of the data set (paper 3.4, 4.2)."""

    min_score: int = Field(4, ge=1, le=5)
    near_duplicate_similarity: float = Field(0.8, gt=0, le=1)
    seed: int = 0
    shard_rows: int = Field(100_000, ge=1)
    against: tuple[str, ...] = Field((), description="Earlier releases whose pairs are left out.")


class DistillSettings(Settings):
    """Training of small helpers on labels of a large model (paper 1.2, 1.3, 1.6)."""

    held_out: float = Field(0.15, gt=0, lt=1, description="Share of documents and queries that is only measured on.")
    null_share: float = Field(0.05, ge=0, lt=1, description="Share of incompatible pairs trained on (paper 3.3).")
    most_examples: int = Field(0, ge=0, description="Most labels per file and helper; 0 means all.")
    margin_pairs: int = Field(300, ge=2, description="Labels per file by which the margin for `null` is chosen.")
    seed: int = Field(0, ge=0, description="Of the split and of every choice.")
    train: TrainSettings = TrainSettings()
    contrast: ContrastSettings = ContrastSettings()
    passages: PassageTrainingSettings = PassageTrainingSettings()


class ServiceSettings(Settings):
    """How a run of a deployment spreads its work over a work pool; commands work in their own process."""

    width: int = Field(8, ge=1, description="Batches of a corpus that wait or run on the pool at a time.")
    batch_seconds: float = Field(900, gt=0, description="Wanted length of a batch, by what finished shards took.")
    first_batch_shards: int = Field(4, ge=1, description="Shards of a batch as long as nothing was measured.")
    most_batch_shards: int = Field(200, ge=1, description="Bounds the size of a run's parameters.")


class Profile(Settings):
    """All settings of a run."""

    description: str = ""
    tokenizer: str = Field(description="Checkpoint whose tokenizer counts documents' and pairs' tokens.")
    queries: QueriesSettings = QueriesSettings()
    documents: ReadSettings = ReadSettings()
    engines: dict[str, EngineSettings]
    embedder: EmbedderSettings
    genericizer: GenericizerSettings
    instantiator: InstantiatorSettings
    judge: JudgeSettings
    index: IndexSettings = IndexSettings()
    match: MatchSettings = MatchSettings()
    release: ReleaseSettings = ReleaseSettings()
    distill: DistillSettings = DistillSettings()
    service: ServiceSettings = ServiceSettings()
    part_requests: int = Field(512, ge=1, description="Requests per part of an LLM stage; what a kill can lose.")

    @model_validator(mode="after")
    def engines_exist(self) -> Self:
        """Every role names an engine of this profile."""
        named = {role: getattr(self, role).engine for role in ("genericizer", "instantiator", "judge")}
        if self.queries.moderation.kind == "guard":
            named["queries.moderation"] = self.queries.moderation.engine
        for role, name in named.items():
            if name not in self.engines:
                raise ValueError(f"{role}.engine is {name!r}, but [engines] has only {', '.join(self.engines)}")
        return self


@lru_cache(maxsize=32)
def load_profile(name: str, overrides: tuple[str, ...] = ()) -> Profile:
    """Read and check a profile.

    Args:
        name: `tiny`, `paper`, `server`, `teacher`, or the path or URL of a TOML file.
        overrides: Single settings, as `match.threshold=0.4`; values are TOML, or else plain text.

    Raises:
        UsageError: naming the file, the key and the nearest known one.
    """
    values = _read(name, ())
    for override in overrides:
        _override(values, override)
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"profile {name!r}: {'; '.join(_explain(detail) for detail in error.errors())}") from error


def _read(name: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise UsageError(f"profile {name!r} extends itself: {' -> '.join((*seen, name))}; remove one `base`")
    try:
        if name in BUILT_IN:
            text = (files("deployments") / "profiles" / f"{name}.toml").read_text("utf-8")
        else:
            with fsspec.open(name, "rt", encoding="utf-8") as file:
                text = file.read()
        values = tomllib.loads(text)
    except UNREADABLE + driver_errors() as error:
        known = ", ".join(BUILT_IN)
        raise UsageError(f"profile {name!r} cannot be read: {error}; expected one of {known} or a TOML file") from error
    base = values.pop("base", None)
    return _merge(_read(base, (*seen, name)), values) if base else values


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, tables merged key by key; an engine of another kind replaces the old one whole."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        same_kind = isinstance(old, dict) and isinstance(value, dict) and value.get("kind") in (None, old.get("kind"))
        merged[key] = _merge(old, value) if same_kind else value  # type: ignore[arg-type]
    return merged


def _override(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals:
        raise UsageError(f"override {override!r}: expected KEY=VALUE, as match.threshold=0.4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = path.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UsageError(f"override {override!r}: {table!r} is a value, not a table")
    values[last] = value


def _explain(detail: ErrorDetails) -> str:
    steps = [str(step) for step in detail["loc"]]
    if steps[:1] == ["engines"]:
        # After the engine's name comes the kind that it was taken for, which is no key.
        del steps[2:3]
    where = ".".join(steps)
    if detail["type"] != "extra_forbidden":
        return f"{where}: {detail['msg']}, found {detail['input']!r}"
    near = difflib.get_close_matches(steps[-1], _known_keys(), n=1)
    return f"unknown key {where!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _known_keys() -> list[str]:
    def names(model: type[Settings]) -> set[str]:
        found = set(model.model_fields)
        for sub in model.__subclasses__():
            found |= names(sub)
        return found

    return sorted(names(Settings))
