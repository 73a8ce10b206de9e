"""Which files a user's URLs mean, and the identity of each file's content.

A URL is a file, a folder (all files of known formats below it) or a glob, on anything fsspec opens. Identity is what
decides whether a file is read again: a digest of the content for local files under `DIGEST_BYTES`, so that a copied or
touched file is not read again; size and modification time for larger local ones; size and the store's own etag,
checksum or modification time for remote ones.
Not covered: a remote store that reports nothing but the size; a change that keeps the size is not seen there.
"""

import difflib
import fnmatch
import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from models.digests import digest
from models.errors import UsageError
from tasks.readers import COMPRESSIONS, FORMATS, format_of
from tasks.records import InputFile, Source
from tasks.settings import ReadSettings, SourceSettings
from tasks.storage import driver_errors

DIGEST_BYTES = 64 * 2**20
"""Local files below this size are identified by their content."""

VERSION_KEYS = (
    *("ETag", "etag", "md5Hash", "content_md5", "checksum", "blob_id", "sha"),
    *("mtime", "LastModified", "last_modified", "modified", "updated", "created"),
)
"""What the file systems of fsspec call the version of a file's content, the surest first."""


def list_files(settings: ReadSettings, urls: Iterable[str]) -> tuple[InputFile, ...]:
    """The input files that URLs mean, sorted by URL, each once.

    Raises:
        UsageError: when a URL matches nothing, names an unknown format, or cannot be opened.
    """
    found: dict[str, InputFile] = {}
    for url in urls:
        fs, paths = expand(url)
        for path, info in paths.items():
            name = path if isinstance(fs, LocalFileSystem) else fs.unstrip_protocol(path)
            found[name] = InputFile(url=name, identity=_identity(fs, path, info), source=_source(settings, name))
    return tuple(found[name] for name in sorted(found))


def source_settings(settings: ReadSettings, url: str) -> SourceSettings:
    """The first entry of `sources` whose glob matches, or the defaults."""
    return next((entry for entry in settings.sources if fnmatch.fnmatchcase(url, entry.match)), SourceSettings())


def stem(url: str) -> str:
    """Name of a file without folder, format and compression."""
    name = PurePosixPath(url).name
    return name[: name.lower().rindex(format_of(name) or "")] or name


def _source(settings: ReadSettings, url: str) -> Source:
    entry = source_settings(settings, url)
    return Source(name=entry.name or stem(url), licence=entry.licence, revision=entry.revision, url=entry.url)


def expand(url: str) -> tuple[AbstractFileSystem, dict[str, dict[str, Any]]]:
    """The files of known formats that a URL means, and what the file system says of each; no file is read.

    Raises:
        UsageError: as `list_files`.
    """
    try:
        fs, path = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UsageError(f"input {url!r} cannot be opened: {error}; expected a path or an fsspec URL") from error
    fs.invalidate_cache()
    try:
        found = dict(_matches(fs, path))
    except driver_errors() as error:
        raise UsageError(f"input {url!r} cannot be listed: {error}; check the address and the credentials") from error
    if not found:
        raise UsageError(f"no file matches {url!r}{_nearest(fs, path)}")
    known = {path: info for path, info in found.items() if format_of(path)}
    if not known:
        unknown = PurePosixPath(next(iter(found))).name
        raise UsageError(
            f"{url!r} matches no file of a known format, but {unknown!r}; expected names ending in "
            f"{', '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"
        )
    return fs, known


def _matches(fs: AbstractFileSystem, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if fs.isfile(path):
        yield path, fs.info(path)
        return
    found = fs.find(path, detail=True) if fs.isdir(path) else fs.glob(path, detail=True)
    for name, info in sorted(found.items()):
        if info["type"] != "directory" and not PurePosixPath(name).name.startswith("."):
            yield name, info


def _nearest(fs: AbstractFileSystem, path: str) -> str:
    """What lies nearest to a path that matches nothing, as the end of a message."""
    parent, missing = PurePosixPath(path), ""
    while str(parent) not in ("/", ".", "") and not fs.isdir(str(parent)):
        parent, missing = parent.parent, parent.name
    if not missing or not fs.isdir(str(parent)):
        return ""
    names = [PurePosixPath(name).name for name in fs.ls(str(parent), detail=False)]
    near = difflib.get_close_matches(missing, names, n=1)
    if near:
        return f"; did you mean {str(parent / near[0])!r}?"
    return f"; {str(parent)!r} has {', '.join(sorted(names)[:5]) or 'no files'}"


def _identity(fs: AbstractFileSystem, path: str, info: dict[str, Any]) -> str:
    size = int(info.get("size") or 0)
    if not isinstance(fs, LocalFileSystem):
        version = next((info[key] for key in VERSION_KEYS if info.get(key)), "")
        # Some file systems list a time as a number and report it as a datetime.
        return f"{size}-{digest(str(version.timestamp() if isinstance(version, datetime) else version))}"
    if size >= DIGEST_BYTES:
        return f"{size}-{digest(info['mtime'])}"
    try:
        with open(path, "rb") as file:
            return f"{size}-{hashlib.file_digest(file, 'blake2b').hexdigest()[:16]}"
    except OSError as error:
        raise UsageError(f"input {path!r} cannot be read: {error}; check the path and its rights") from error
