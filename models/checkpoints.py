"""Where a model's files are, and who it is.

A model is named in one of three forms, tried in this order:

    package:NAME     carried by an installed package, see `models.packaged`
    a local folder   anything that is a folder on this machine, or is written like one (`/`, `./`, `../`, `~`)
    a hub name       `owner/name` on the Hugging Face Hub, downloaded once into its cache

Identities are what keys and provenance are made of: `name@revision`, equal on every machine that has the same files.
They load no model. For the hub it is the commit, so that a moved branch or tag is seen; for a folder it is a digest of
its small files and of samples of the large ones, so that weights trained anew are seen although their sizes are equal.

Every failure is a `UsageError` that says what to do. Not covered: weights that differ only between the samples.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models.digests import digest, digest_bytes
from models.errors import UsageError
from models.packaged import PACKAGED, PackagedModel

UNUSED = ("*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.ot", "onnx/*", "openvino/*", "original/*")
"""Files of a hub repository that neither vLLM nor sentence-transformers reads."""

HUB_SECONDS = 10
"""How long the hub may take to name a commit before the cache is asked instead."""

SAMPLES = 64
SAMPLE_BYTES = 4096
WHOLE_BYTES = 16 << 20
"""A file up to this size is digested whole, a larger one by its size and evenly spaced samples."""


def resolve(model: str, revision: str = "") -> Path:
    """The checkpoint folder, downloaded or unpacked first if need be.

    Raises:
        UsageError: the model is unknown, missing or out of reach, or has no such revision.
    """
    return _form(model).resolve(model, revision)


def identify(model: str, revision: str = "") -> str:
    """`name@revision` of the model, without loading or downloading it.

    Raises:
        UsageError: as `resolve`.
    """
    return _form(model).identify(model, revision)


def tokenizer_file(model: str, revision: str = "") -> Path:
    """The checkpoint's `tokenizer.json`; of a hub model nothing else is downloaded.

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
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and _counts(path.relative_to(folder)))
    return f"{folder.name}@{digest([[path.relative_to(folder).as_posix(), _file_digest(path)] for path in files])}"


def _counts(path: Path) -> bool:
    return path.suffix != ".md" and not any(part.startswith(".") for part in path.parts)


def _file_digest(path: Path) -> str:
    size = path.stat().st_size
    if size <= WHOLE_BYTES:
        return digest_bytes(path.read_bytes())
    with path.open("rb") as file:
        samples = [str(size).encode()]
        for sample in range(SAMPLES):
            file.seek(sample * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            samples.append(file.read(SAMPLE_BYTES))
    return digest_bytes(b"".join(samples))


def _download(model: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    with _hub(model, revision):
        return Path(snapshot_download(model, revision=_commit(model, revision), ignore_patterns=list(UNUSED)))


def _hub_identity(model: str, revision: str) -> str:
    with _hub(model, revision):
        return f"{model}@{_commit(model, revision)}"


def _hub_tokenizer(model: str, revision: str) -> Path:
    from huggingface_hub import hf_hub_download

    with _hub(model, revision):
        return Path(hf_hub_download(model, "tokenizer.json", revision=_commit(model, revision)))


@lru_cache
def _commit(model: str, revision: str) -> str:
    """The commit a revision stands for; asked once per process, so that it cannot move within a run."""
    from huggingface_hub import HfApi, errors, hf_hub_download

    if len(revision) == 40:
        return revision
    try:
        return str(HfApi().model_info(model, revision=revision or None, timeout=HUB_SECONDS).sha)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise
    except (_http_error(), OSError):
        cached = hf_hub_download(model, "config.json", revision=revision or None, local_files_only=True)
        return Path(cached).parent.name


@contextmanager
def _hub(model: str, revision: str) -> Iterator[None]:
    """Turn the hub's many errors into one that says what to do."""
    from huggingface_hub import errors

    wanted = f"{model}@{revision}" if revision else model
    try:
        yield
    except errors.GatedRepoError as error:
        raise UsageError(f"{wanted} is gated; accept its terms on the hub and set HF_TOKEN") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UsageError(
            f"expected a local folder, package:NAME or a hub model, found {model!r}, which is none; "
            "check its spelling, or set HF_TOKEN if it is private"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"{model} has no revision {revision!r}; choose a commit or tag of the hub's list") from error
    except errors.RemoteEntryNotFoundError as error:
        raise UsageError(f"{wanted} has no tokenizer.json; choose a checkpoint with a fast tokenizer") from error
    except (_http_error(), OSError) as error:
        raise UsageError(
            f"{wanted} is not in the hub's cache and the hub cannot be reached; download it where there is a network "
            "(`hf download`), name a local folder, or use a profile whose models come from packages"
        ) from error


def _http_error() -> type[Exception]:
    """Base of all errors of the HTTP client behind the hub's library, which was not always the same one."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]


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
    _Form(lambda model: True, _download, _hub_identity, _hub_tokenizer),
)


def _form(model: str) -> _Form:
    return next(form for form in FORMS if form.matches(model))
