"""Stable identities: the same content gives the same digest in every process and on every machine."""

import hashlib
import json
from typing import Any


def digest(*parts: Any, length: int = 16) -> str:
    """Hex digest of JSON-able parts, `length` characters of SHA-256 over canonical JSON (sorted keys, UTF-8)."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return digest_bytes(canonical.encode("utf-8", "surrogatepass"), length)


def digest_bytes(data: bytes, length: int = 16) -> str:
    """Hex digest of raw bytes, `length` characters of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:length]
