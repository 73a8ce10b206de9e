"""Where a model's files are, and who it is.

A model is named in one of three forms, tried in this order:

    package:NAME     carried by an installed package, see `models.packaged`
    a local folder   anything that is a folder on this machine, or is written like one (`/`, `./`, `../`, `~`)
    a hub name       `owner/name` on the Hugging Face Hub, downloaded once into its cache

With an adapter, named as `models.adapters` says, the folder is that of the merged checkpoint, see `models.merging`.

Identities are what keys and provenance are made of: `name@revision`, or `name@revision+adapter@digest`, equal on every
machine that has the same files. They load and merge nothing. For the hub it is the commit, so that a moved branch or
tag is seen; for a folder it is a digest of its small files and of samples of the large ones, so that weights trained
anew are seen although their sizes are equal.

Every failure is a `UsageError` that says what to do. Not covered: weights that differ only between the samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models import hub
from models.adapters import find_adapter, identify_adapter
from models.digests import digest_folder
from models.errors import UsageError
from models.merging import merge_once
from models.packaged import PACKAGED, PackagedModel


def resolve(model: str, revision: str = "", adapter: str = "") -> Path:
    """The checkpoint folder, downloaded, unpacked or merged with the adapter first if need be.

    Raises:
        UsageError: the model is unknown, missing or out of reach, or has no such revision; or so the adapter, or it
            does not fit the model.
    """
    base = _form(model).resolve(model, revision)
    if not adapter:
        return base
    return merge_once(identify(model, revision, adapter), base, find_adapter(adapter))


def identify(model: str, revision: str = "", adapter: str = "") -> str:
    """`name@revision` of the model, followed by `+name@digest` of an adapter, loading neither and no weights.

    Raises:
        UsageError: as `resolve`, but for an adapter that does not fit.
    """
    identity = _form(model).identify(model, revision)
    return f"{identity}+{identify_adapter(adapter)}" if adapter else identity


def tokenizer_file(model: str, revision: str = "") -> Path:
    """The checkpoint's `tokenizer.json`, which an adapter leaves as it is; of a hub model nothing else is downloaded.

    Raises:
        UsageError: as `resolve`, or the checkpoint has no such file.
    """
    return _form(model).tokenizer(model, revision)


def _packaged(model: str, revision: str) -> PackagedModel:
    name = model.removeprefix("package:")
    if name not in PACKAGED:
        raise UsageError(f"no model {model!r}; models carried by packages: {', '.join(sorted(PACKAGED))}")
    found = PACKAGED[name].version
    if revision not in ("", found):
        raise UsageError(f"expected {name} {revision}, found {found}; install that version or drop the revision")
    return PACKAGED[name]


def _packaged_identity(model: str, revision: str) -> str:
    return f"{model}@{_packaged(model, revision).version}"


def _local(model: str, revision: str) -> Path:
    folder = Path(model).expanduser().resolve()
    if not (folder / "config.json").is_file():
        raise UsageError(f"expected a checkpoint with a config.json in {folder}, found none; check the model's path")
    if revision:
        raise UsageError(f"a local folder has no revisions, but {model} was given {revision!r}; drop it")
    return folder


def _local_identity(model: str, revision: str) -> str:
    folder = _local(model, revision)
    return f"{folder.name}@{digest_folder(folder)}"


@dataclass(frozen=True)
class _Form:
    """One way to name a model: whether a name has this form, and what to do with it."""

    matches: Callable[[str], bool]
    resolve: Callable[[str, str], Path]
    identify: Callable[[str, str], str]
    tokenizer: Callable[[str, str], Path]


def _in_folder(resolve: Callable[[str, str], Path]) -> Callable[[str, str], Path]:
    def tokenizer(model: str, revision: str) -> Path:
        file = resolve(model, revision) / "tokenizer.json"
        if not file.is_file():
            raise UsageError(f"{model} has no tokenizer.json; choose a checkpoint with a fast tokenizer")
        return file

    return tokenizer


def _unpacked(model: str, revision: str) -> Path:
    return _packaged(model, revision).folder()


FORMS = (
    _Form(lambda model: model.startswith("package:"), _unpacked, _packaged_identity, _in_folder(_unpacked)),
    _Form(
        lambda model: model.startswith(("/", "./", "../", "~")) or Path(model).is_dir(),
        _local,
        _local_identity,
        _in_folder(_local),
    ),
    _Form(lambda model: True, hub.download, hub.identify, partial(hub.download_file, file="tokenizer.json")),
)


def _form(model: str) -> _Form:
    return next(form for form in FORMS if form.matches(model))
