"""Bytes of an input file, local or remote, decompressed while they are read.

Guarantees: memory is bounded by `LINE_BYTES` whatever the size of the file; a compressed file that ends too early
raises `EOFError` after everything that could be read has been read, for zstandard too, where the library's own reader
would end in silence. Not covered: archives of several files (zip, tar).
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TypeAlias

import zstandard
from fsspec.core import url_to_fs

from models.refusals import Refusal
from tasks.readers.rows import refuse

LINE_BYTES = 64 * 2**20
"""Longest line, and longest text file, that is read at all."""

CORRUPT = (zlib.error, gzip.BadGzipFile, zstandard.ZstdError)
"""What decompression raises when the bytes are damaged."""

ByteStream: TypeAlias = io.BufferedReader | gzip.GzipFile
"""Both can peek."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_BUFFER = 2**20
_ZSTD_CHUNK = 2**14
_SIGNATURES = {
    b"\x1f\x8b": "gzip data; name the file .gz",
    b"\x28\xb5\x2f\xfd": "zstandard data; name the file .zst",
    b"PAR1": "parquet data; name the file .parquet",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"%PDF": "a PDF; extract its text first",
}


class ZstdStream(io.RawIOBase):
    """Zstandard frames, one after the other; a frame without its end raises `EOFError`."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""
        self._ready = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with decompressed bytes; 0 at the end."""
        while not self._ready:
            if not (data := self._compressed or self._source.read(_ZSTD_CHUNK)):
                if self._frame is not None:
                    raise EOFError("zstandard frame ended before its end marker")
                return 0
            self._decompress(data)
        piece, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def _decompress(self, data: bytes) -> None:
        frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
        self._ready = frame.decompress(data)
        self._compressed = frame.unused_data if frame.eof else b""
        self._frame = None if frame.eof else frame


@contextmanager
def open_stream(url: str) -> Iterator[ByteStream]:
    """The decompressed bytes of a file whose name may end in .gz or .zst."""
    fs, path = url_to_fs(url)
    with fs.open(path, "rb") as source:
        name = url.lower()
        if name.endswith(".gz"):
            # No second buffer around it: filling one loses what was read when the file breaks off.
            yield gzip.GzipFile(fileobj=source, mode="rb")
        else:
            yield io.BufferedReader(ZstdStream(source) if name.endswith(".zst") else source, _BUFFER)


def sniff(stream: ByteStream) -> Refusal | None:
    """A refusal when the first bytes are not those of a text file; nothing is consumed."""
    head = stream.peek(_BUFFER)
    for signature, meaning in _SIGNATURES.items():
        if head.startswith(signature):
            return refuse("binary_file", f"expected text, found {meaning}")
    if (position := head.find(b"\0")) >= 0:
        return refuse("binary_file", f"expected UTF-8 text, found a NUL byte at byte {position} (UTF-16, or no text)")
    return None


def read_lines(stream: ByteStream) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines without their ends and without a byte order mark; None for one longer than `LINE_BYTES`."""
    number = 0
    while line := stream.readline(LINE_BYTES):
        whole = line.endswith(b"\n") or len(line) < LINE_BYTES
        if number == 0:
            line = line.removeprefix(BYTE_ORDER_MARK)
        yield number, line.rstrip(b"\r\n") if whole else None
        while not whole and (rest := stream.readline(LINE_BYTES)):
            whole = rest.endswith(b"\n")
        number += 1
