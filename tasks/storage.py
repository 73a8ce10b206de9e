"""One wrapper over fsspec: relative paths inside, the store's URL outside.

A written object appears whole or not at all: object stores and the memory store publish on close; on a local disk the
bytes go to a hidden temporary name and are renamed. Names that start with a dot are never listed.
Two writers of one object both succeed and the last wins. Where that would do harm `create` lets the first one win.
Not covered: stores without hard links or conditional writes, on which the last one may win there too.
"""

import errno
import io
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TypeVar

import fsspec
import polars as pl
from fsspec.core import url_to_fs
from pydantic import BaseModel, ValidationError

from models.digests import digest_bytes
from models.errors import ShardError, UsageError

_DRIVER_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
)
"""Errors of drivers that are no `OSError`: missing credentials, an endpoint that does not answer."""

_NOT_SUPPORTED = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})
"""What a file system says that knows no hard links, or an object store no conditional writes."""

RecordT = TypeVar("RecordT", bound=BaseModel)


class Store:
    """A tree of immutable objects below one URL.

    Raises:
        UsageError: when the URL's protocol is unknown or its package is missing.
    """

    def __init__(self, url: str) -> None:
        try:
            self.fs, root = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise UsageError(f"store {url!r} cannot be opened: {error}; expected a folder or an fsspec URL") from error
        self.url = url
        self.root = root.rstrip("/")
        self._local = isinstance(self.fs, fsspec.implementations.local.LocalFileSystem)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def write(self, name: str, data: bytes) -> None:
        """Publish `data` under `name`, whole or not at all."""
        path = self._path(name)
        self.fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        if not self._local:
            self.fs.pipe_file(path, data)
            return
        with self._hidden(path, data) as temporary:
            os.replace(temporary, path)

    def create(self, name: str, data: bytes) -> bool:
        """Publish `data` under `name` unless an object of this name is there; returns whether it was published."""
        path = self._path(name)
        self.fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        try:
            if self._local:
                with self._hidden(path, data) as temporary:
                    os.link(temporary, path)
            else:
                self.fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if self.exists(name):
                return False
            if error.errno not in _NOT_SUPPORTED:
                raise
            self.write(name, data)
        return True

    @contextmanager
    def _hidden(self, path: str, data: bytes) -> Iterator[str]:
        """A file with these bytes beside `path`, under a name that is never listed; gone at the end."""
        folder, base = os.path.split(path)
        temporary = f"{folder}/.{base}.{uuid.uuid4().hex}"
        try:
            self.fs.pipe_file(temporary, data)
            yield temporary
        finally:
            # A full disk needs its space back.
            Path(temporary).unlink(missing_ok=True)

    def read(self, name: str) -> bytes:
        """All bytes of an object.

        Raises:
            FileNotFoundError: when it does not exist.
        """
        data: bytes = self.fs.cat_file(self._path(name))
        return data

    def fetch(self, name: str, folder: Path) -> Path:
        """A file on this machine with the object's bytes: the object itself on a local disk, else a copy in `folder`.

        Raises:
            FileNotFoundError: when it does not exist.
        """
        if self._local:
            return Path(self._path(name))
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(self._path(name), str(copy))
        return copy

    def exists(self, name: str) -> bool:
        """Whether an object of this name has been published."""
        try:
            # Not `isfile`, which takes a store that does not answer for one that lacks the object.
            return bool(self.fs.info(self._path(name))["type"] == "file")
        except (FileNotFoundError, NotADirectoryError):
            return False

    def find(self, prefix: str) -> list[str]:
        """Names of all objects below a folder, sorted; empty when there is none. One listing on object stores."""
        self.fs.invalidate_cache()
        found = self.fs.find(self._path(prefix))
        names = (path[path.index(self.root) + len(self.root) + 1 :] for path in found)
        return sorted(name for name in names if not PurePosixPath(name).name.startswith("."))

    def _listed(self) -> set[str]:
        """Names at the top of the store, of objects and folders."""
        self.fs.invalidate_cache()
        return {PurePosixPath(path).name for path in self.fs.ls(self.root, detail=False)}

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens when it does not exist."""
        with suppress(FileNotFoundError):
            self.fs.rm_file(self._path(name))

    def write_record(self, name: str, record: BaseModel) -> None:
        """Publish a record as indented JSON."""
        self.write(name, as_json(record))

    def read_record(self, name: str, kind: type[RecordT]) -> RecordT:
        """Read a record.

        Raises:
            FileNotFoundError: when it does not exist.
            ShardError: when it is not a record of this kind.
        """
        return self._parse(name, self.read(name), kind)

    def _parse(self, name: str, data: bytes, kind: type[RecordT]) -> RecordT:
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            raise ShardError(
                f"{self.url}/{name}: expected a {kind.__name__}, found something else ({error.error_count()} errors, "
                f"first: {error.errors()[0]['msg']}); delete the file to have it made again"
            ) from error

    def read_records(self, names: list[str], kind: type[RecordT]) -> list[RecordT]:
        """Read many records, concurrently where the store can; raises as `read_record`."""
        if not names:
            return []
        contents = self.fs.cat([self._path(name) for name in names])
        if isinstance(contents, bytes):
            return [self._parse(names[0], contents, kind)]
        by_path = dict(contents)
        return [self._parse(name, by_path[self._path(name)], kind) for name in names]

    def write_frame(self, name: str, frame: pl.DataFrame) -> str:
        """Publish a frame as zstd parquet; returns the digest of its bytes."""
        data = as_parquet(frame)
        self.write(name, data)
        return digest_bytes(data)

    def read_frame(self, name: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Read a parquet object, all columns or some."""
        return pl.read_parquet(io.BytesIO(self.read(name)), columns=columns)

    def scan_frame(self, name: str) -> pl.LazyFrame:
        """A parquet object to select from: on a local disk only the columns and rows asked for are read."""
        if self._local:
            return pl.scan_parquet(self._path(name), glob=False)
        return pl.scan_parquet(io.BytesIO(self.read(name)))

    def probe(self) -> None:
        """Write, read, list and delete one small object.

        Raises:
            UsageError: naming the step that failed and why.
        """
        name, step = f"probe-{uuid.uuid4().hex}", "written"
        try:
            self.write(name, b"probe")
            step = "read back"
            if self.read(name) != b"probe":
                raise OSError("the bytes differ")
            step = "listed"
            if name not in self._listed():
                raise OSError("it is not in the listing")
            step = "deleted"
            self.delete(name)
        except driver_errors() as error:
            raise UsageError(
                f"store {self.url!r}: an object cannot be {step}: {error}; check the path, its rights and free space"
            ) from error


def as_json(record: BaseModel) -> bytes:
    """A record as it lies in the store: indented JSON."""
    return record.model_dump_json(indent=1).encode()


def as_parquet(frame: pl.DataFrame) -> bytes:
    """A frame as it lies in the store: zstd parquet."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def driver_errors() -> tuple[type[Exception], ...]:
    """What a store that cannot be used raises: `OSError`, and what drivers in use raise beside it."""
    loaded = [(sys.modules.get(module), name) for module, name in _DRIVER_ERRORS]
    return (OSError, *(getattr(module, name) for module, name in loaded if module is not None))


@lru_cache(maxsize=16)
def open_store(url: str) -> Store:
    """The store of a URL; the same object for the same URL."""
    return Store(url)
