"""The store behaves alike on a disk, in memory and on S3."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from models.errors import ShardError, UsageError
from tasks.records import CurrentBank, Tokens
from tasks.storage import Store


def test_what_is_written_is_read_and_listed_with_relative_names(store: Store) -> None:
    """Names inside are the same on all protocols."""
    store.write("a/b/one.bin", b"1")
    store.write("a/two.bin", b"22")
    assert store.read("a/b/one.bin") == b"1"
    assert store.find("a") == ["a/b/one.bin", "a/two.bin"]
    assert store.find("a/b") == ["a/b/one.bin"]
    assert store.exists("a/two.bin")
    assert not store.exists("a")


def test_a_missing_folder_lists_nothing(store: Store) -> None:
    """Listing what is not there is not an error."""
    assert store.find("nowhere") == []


def test_a_missing_object_is_not_found(store: Store) -> None:
    """Reading what is not there raises FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        store.read("nothing")


def test_overwriting_shows_the_new_bytes(store: Store) -> None:
    """The last writer wins, whole."""
    store.write("x", b"old")
    store.write("x", b"newer")
    assert store.read("x") == b"newer"


def test_the_first_creator_wins(store: Store) -> None:
    """The second one is told, and what is there stays; nothing else is left."""
    assert store.create("a/x", b"first")
    assert not store.create("a/x", b"second")
    assert store.read("a/x") == b"first"
    assert store.find("") == ["a/x"]


@pytest.mark.parametrize("links", [True, False])
def test_creators_at_once_agree_on_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """On a disk; where the file system knows no links, one after the other."""
    if not links:
        monkeypatch.setattr(os, "link", refuse_link)
    store = Store(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: (n, store.create("x", b"%d" % n)), range(64 if links else 1)))
    assert not store.create("x", b"late")
    (winner,) = (n for n, created in done if created)
    assert store.read("x") == b"%d" % winner
    assert os.listdir(tmp_path) == ["x"]


def refuse_link(source: str, target: str) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_fetched_object_is_a_file_on_this_machine(store: Store, tmp_path: Path) -> None:
    """A library that maps files can read any store; what is not there is not found."""
    store.write("a/x.bin", b"bytes")
    assert store.fetch("a/x.bin", tmp_path / "copies").read_bytes() == b"bytes"
    with pytest.raises(FileNotFoundError):
        store.fetch("a/y.bin", tmp_path / "copies").read_bytes()


def test_deleting_twice_is_harmless(store: Store) -> None:
    """Deleting what is gone does nothing."""
    store.write("x", b"1")
    store.delete("x")
    store.delete("x")
    assert store.find("") == []


def test_frames_and_records_survive_the_round_trip(store: Store) -> None:
    """Parquet and JSON come back equal; a record of another kind is refused by name."""
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert store.write_frame("f.parquet", frame) == store.write_frame("g.parquet", frame)
    assert store.read_frame("f.parquet").equals(frame)
    assert store.read_frame("f.parquet", ["b"]).columns == ["b"]
    store.write_record("r.json", Tokens(prompt=1))
    assert store.read_record("r.json", Tokens) == Tokens(prompt=1)
    with pytest.raises(ShardError, match=r"r\.json: expected a CurrentBank"):
        store.read_record("r.json", CurrentBank)


def test_many_records_come_back_in_order(store: Store) -> None:
    """One call reads many."""
    names = [f"many/{number}.json" for number in range(12)]
    for number, name in enumerate(names):
        store.write_record(name, Tokens(prompt=number))
    assert [tokens.prompt for tokens in store.read_records(names, Tokens)] == list(range(12))
    assert store.read_records(names[:1], Tokens) == [Tokens(prompt=0)]
    assert store.read_records([], Tokens) == []


def test_the_probe_leaves_nothing_behind(store: Store) -> None:
    """Write, read, list, delete."""
    store.probe()
    assert store.find("") == []


def test_what_somebody_else_has_deleted_is_deleted(store: Store) -> None:
    """Two workers may clear away the same object."""
    store.write("folder/x", b"1")
    for _ in range(2):
        store.delete("folder/x")
    assert store.find("folder") == []


def test_a_reader_never_sees_half_an_object(tmp_path: Path) -> None:
    """While one thread rewrites an object, another one always reads one whole version."""
    store = Store(str(tmp_path))
    versions = [bytes([value]) * 1_000_000 for value in (1, 2)]
    store.write("x", versions[0])
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            for version in versions:
                store.write("x", version)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        seen = {store.read("x") for _ in range(200)}
    finally:
        stop.set()
        writer.join()
    assert seen <= set(versions)


def test_what_a_killed_writer_leaves_is_not_listed(tmp_path: Path) -> None:
    """Temporary names are hidden."""
    store = Store(str(tmp_path))
    store.write("folder/x", b"1")
    (tmp_path / "folder" / ".y.123abc").write_bytes(b"half")
    assert store.find("folder") == ["folder/x"]


def test_a_full_disk_leaves_no_half_object_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays, and the space of the half is given back."""
    store = Store(str(tmp_path))
    store.write("x", b"before")

    def fill(path: str, data: bytes) -> None:
        Path(path).write_bytes(data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.fs, "pipe_file", fill)
    with pytest.raises(OSError, match="No space left"):
        store.write("x", b"after")
    assert store.read("x") == b"before"
    assert os.listdir(tmp_path) == ["x"]


def test_an_unwritable_store_is_one_clear_line(tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UsageError, match=r"an object cannot be written.*check the path"):
        Store(str(tmp_path / "file")).probe()
    assert os.listdir(tmp_path) == ["file"]


def test_an_unknown_protocol_is_refused() -> None:
    """The message names the URL."""
    with pytest.raises(UsageError, match="gopher://x"):
        Store("gopher://x/y")
