"""Stable identities: the same content gives the same digest in every process and on every machine."""

import hashlib
import json
from pathlib import Path
from typing import Any

SAMPLES = 64
SAMPLE_BYTES = 4096
WHOLE_BYTES = 16 << 20
"""A file up to this size is digested whole, a larger one by its size and evenly spaced samples."""


def digest(*parts: Any, length: int = 16) -> str:
    """Hex digest of JSON-able parts, `length` characters of SHA-256 over canonical JSON (sorted keys, UTF-8)."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return digest_bytes(canonical.encode("utf-8", "surrogatepass"), length)


def digest_bytes(data: bytes, length: int = 16) -> str:
    """Hex digest of raw bytes, `length` characters of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:length]


def digest_folder(folder: Path) -> str:
    """Hex digest of a folder's files and their names: the small ones whole, of the large ones size and samples.

    Hidden files and Markdown are left out, for they change nothing. Not covered: large files that differ only between
    the samples.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and _counts(path.relative_to(folder)))
    return digest([[path.relative_to(folder).as_posix(), _digest_file(path)] for path in files])


def _counts(path: Path) -> bool:
    return path.suffix != ".md" and not any(part.startswith(".") for part in path.parts)


def _digest_file(path: Path) -> str:
    size = path.stat().st_size
    if size <= WHOLE_BYTES:
        return digest_bytes(path.read_bytes())
    with path.open("rb") as file:
        samples = [str(size).encode()]
        for sample in range(SAMPLES):
            file.seek(sample * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            samples.append(file.read(SAMPLE_BYTES))
    return digest_bytes(b"".join(samples))
