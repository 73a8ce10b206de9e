"""Models and adapters on the Hugging Face Hub, downloaded once into its own cache.

A revision is resolved to a commit once per process, so that a moved branch or tag is seen, but cannot move within a
run. The commit is remembered in the cache, which answers where the hub does not. Every failure is a `UsageError` that
says what to do.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from models.errors import UsageError

UNUSED = ("*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.ot", "onnx/*", "openvino/*", "original/*")
"""Files of a hub repository that neither vLLM nor sentence-transformers reads."""

HUB_SECONDS = 10
"""How long the hub may take to name a commit before the cache is asked instead."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def download(name: str, revision: str, marker: str = "config.json") -> Path:
    """The folder of a repository's files in the hub's cache; `marker` is a file that each of its kind has.

    Raises:
        UsageError: it is unknown, out of reach, or has no such revision.
    """
    from huggingface_hub import snapshot_download

    with _explained(name, revision):
        return Path(snapshot_download(name, revision=_commit(name, revision, marker), ignore_patterns=list(UNUSED)))


def download_file(name: str, revision: str, file: str) -> Path:
    """One file of a repository.

    Raises:
        UsageError: as `download`, or it has no such file.
    """
    from huggingface_hub import hf_hub_download

    with _explained(name, revision):
        return Path(hf_hub_download(name, file, revision=_commit(name, revision, "config.json")))


def identify(name: str, revision: str, marker: str = "config.json") -> str:
    """`name@commit`; of the files only the small marker is downloaded.

    Raises:
        UsageError: as `download`.
    """
    with _explained(name, revision):
        return f"{name}@{_commit(name, revision, marker)}"


@lru_cache
def _commit(name: str, revision: str, marker: str) -> str:
    from huggingface_hub import hf_hub_download

    if _COMMIT.fullmatch(revision):
        return revision
    # Unlike a look at the repository's page, a download tells the cache which commit the revision is.
    return Path(hf_hub_download(name, marker, revision=revision or None, etag_timeout=HUB_SECONDS)).parent.name


@contextmanager
def _explained(name: str, revision: str) -> Iterator[None]:
    """Turn the hub's many errors into one that says what to do."""
    from huggingface_hub import errors

    wanted = f"{name}@{revision}" if revision else name
    try:
        yield
    except errors.GatedRepoError as error:
        raise UsageError(f"{wanted} is gated; accept its terms on the hub and set HF_TOKEN") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UsageError(
            "expected a local folder, a name on the hub, package:NAME for a model or bundled:NAME for an adapter, "
            f"found {name!r}, which is none; check its spelling, or set HF_TOKEN if it is private"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"{name} has no revision {revision!r}; choose a commit or tag of the hub's list") from error
    except errors.RemoteEntryNotFoundError as error:
        missing = str(error.response.url).rpartition("/")[2]
        raise UsageError(
            f"{wanted} has no {missing}; choose a checkpoint of transformers with a fast tokenizer, or a peft adapter"
        ) from error
    except (_http_error(), OSError) as error:
        raise UsageError(
            f"{wanted} is not in the hub's cache and the hub cannot be reached; download it where there is a network "
            "(`hf download`), name a local folder, or use a profile whose models come from packages"
        ) from error


def _http_error() -> type[Exception]:
    """Base of all errors of the HTTP client behind the hub's library, which was not always the same one."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]
