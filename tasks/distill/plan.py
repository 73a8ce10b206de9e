"""What is to be distilled, out of what, into which folder; and where each step leaves its result.

The folder of a distillation is named by a digest of everything that decides its result: labels, settings, base model.
A step whose result is there is not done again, so the same command continues after a kill.
Not covered: labels that are replaced by others of the same size and version while a distillation runs.
"""

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from models.adapters import identify_adapter
from models.checkpoints import identify
from models.digests import digest
from models.errors import UsageError
from models.settings import PassageSettings, Settings, VLLMSettings
from tasks.inputs import list_files, stem
from tasks.records import InputFile
from tasks.settings import Profile, load_profile

Helper = Literal["genericizer", "instantiator", "judge"]
HELPERS: tuple[Helper, ...] = get_args(Helper)

LABELS = ("genericizer", "instantiator", "retrieved", "judged", "documents")
"""Names of the files of labels; others in their folder are nobody's business here."""

PAIR_FILES = ("instantiator", "retrieved")
"""Labels of documents and templates: chosen for the label, and retrieved by a stock embedder as in production."""

Target = Literal["genericizer", "instantiator", "judge", "embedder", "passages", "all"]
"""`all`: one adapter for the three causal helpers together, one for the matching embedder, and one for that of passages
where the profile has it."""


Part = Literal["embedder", "helpers", "passages"]
"""What has an adapter of its own."""

_OWN: dict[Part, frozenset[str]] = {
    "embedder": frozenset({"contrast"}),
    "helpers": frozenset({"train", "null_share", "most_examples", "margin_pairs"}),
    "passages": frozenset({"passages"}),
}
"""The settings in `[distill]` that only this part has."""


class Distillation(Settings):
    """Everything that the steps of a distillation need to know; small and printable."""

    target: Target = "all"
    silver: str = Field(
        description="URL of a folder: genericizer, instantiator, retrieved, judged and documents, each .jsonl."
    )
    out: str = Field(description="Local folder for adapters, figures and cards.")
    profile: str = Field("tiny", description="Whose prompts, base models and `distill` settings are used.")
    overrides: tuple[str, ...] = ()
    base: str = Field(
        "", description="Base model of the helpers, or of the one embedder that is trained; empty: the profile's."
    )

    start: str = Field("", description="Adapter that the helpers' training goes on from, with further labels.")

    @property
    def helpers(self) -> tuple[Helper, ...]:
        """The causal helpers that share an adapter."""
        return tuple(helper for helper in HELPERS if self.target in (helper, "all"))

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is trained, in this order.

        Raises:
            UsageError: when the profile cannot be read.
        """
        match self.target:
            case "all":
                retrieves = self.settings.instantiator.retrieval is not None
                return ("embedder", "passages", "helpers") if retrieves else ("embedder", "helpers")
            case "embedder" | "passages":
                return (self.target,)
        return ("helpers",)

    @property
    def passages(self) -> PassageSettings:
        """How passages are found, with the untuned embedder.

        Raises:
            UsageError: when the profile's answers are written.
        """
        passages = self.settings.instantiator.retrieval
        if passages is None:
            raise UsageError(
                f"profile {self.profile!r}: expected instantiator.answers = 'retrieved', found 'written'; "
                "there is no embedder of passages to train"
            )
        untuned = _untuned(self.base if self.target == "passages" else "")
        return passages.model_copy(update={"embedder": passages.embedder.model_copy(update=untuned)})

    @property
    def settings(self) -> Profile:
        """The profile, with untuned models.

        Raises:
            UsageError: when it cannot be read.
        """
        profile = load_profile(self.profile, self.overrides)
        untuned = _untuned(self.base if self.target == "embedder" else "")
        return profile.model_copy(update={"embedder": profile.embedder.model_copy(update=untuned)})

    @property
    def engine(self) -> VLLMSettings:
        """The engine of the helpers, with their base model.

        Raises:
            UsageError: they do not share one engine of kind `vllm`.
        """
        engines = [self.settings.engines[getattr(self.settings, helper).engine] for helper in self.helpers]
        first = engines[0]
        if not isinstance(first, VLLMSettings) or any(engine != first for engine in engines):
            raise UsageError(
                f"profile {self.profile!r}: expected one engine of kind vllm for {', '.join(self.helpers)}; "
                "a model that is to be tuned must run in this process"
            )
        return first.model_copy(update=_untuned(self.base))

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The files of labels.

        Raises:
            UsageError: when there are none.
        """
        found = list_files(self.settings.documents, (self.silver,))
        return tuple(file for file in found if stem(file.url) in LABELS)

    def file(self, name: str) -> str | None:
        """URL of the labels `name.jsonl`, plain or compressed, if there are any."""
        return next((file.url for file in self.files if stem(file.url) == name), None)

    @property
    def pair_files(self) -> dict[str, str]:
        """URLs of the files of labelled pairs, by name.

        Raises:
            UsageError: when there are none.
        """
        there = {stem(file.url): file.url for file in self.files}
        found = {name: there[name] for name in PAIR_FILES if name in there}
        if not found:
            raise UsageError(
                f"labels {self.silver!r}: expected one of {', '.join(PAIR_FILES)} (.jsonl) among them, "
                f"found {', '.join(sorted(there)) or 'none'}"
            )
        return found

    def training(self, part: Part) -> dict[str, Any]:
        """The settings in `[distill]` that decide what becomes of a part.

        Raises:
            UsageError: when the profile cannot be read.
        """
        return self.settings.distill.model_dump(mode="json", exclude=set(self._others(part)))

    def overrides_of(self, part: Part) -> tuple[str, ...]:
        """The overrides but those of settings that only other parts have."""
        others = tuple(f"distill.{name}" for name in self._others(part))
        return tuple(override for override in self.overrides if not override.startswith(others))

    def folder(self, part: Part) -> Path:
        """Where the adapter of this part, its figures and its card lie.

        Raises:
            UsageError: when the profile cannot be read, lacks this part, or a model or the labels cannot be had.
        """
        profile = self.settings
        decides: list[Any] = [self.training(part), [file.identity for file in self.files]]
        if part == "embedder":
            decides += [profile.embedder.fingerprint(), identify(profile.embedder.model, profile.embedder.revision)]
            decides += [profile.instantiator.min_excerpt_share]
        elif part == "passages":
            embedder = self.passages.embedder
            decides += [profile.instantiator.fingerprint(), identify(embedder.model, embedder.revision)]
        else:
            decides += [getattr(profile, helper).fingerprint() for helper in self.helpers]
            decides += [identify(self.engine.model, self.engine.revision)]
            decides += [identify_adapter(self.start)] if self.start else []
        name = self.target if self.target != "all" else part
        return Path(self.out).expanduser() / f"{name}-{digest(*decides, length=8)}"

    def _others(self, part: Part) -> frozenset[str]:
        return frozenset().union(*(own for other, own in _OWN.items() if other != part))


def _untuned(base: str) -> dict[str, str]:
    return {"adapter": "", **({"model": base, "revision": ""} if base else {})}
