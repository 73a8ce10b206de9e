"""Which files a URL means, and when a file counts as changed."""

import os
import uuid
from pathlib import Path

import fsspec
import pytest

from models.errors import UsageError
from tasks import inputs
from tasks.inputs import list_files, source_settings, stem
from tasks.settings import ReadSettings, SourceSettings
from tests.conftest import without_credentials


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of known and unknown formats, at two levels."""
    for name in ("b.jsonl", "a.csv.gz", "deep/c.parquet", "deep/image.png", ".hidden.jsonl"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "data"


def names(*urls: str | Path) -> list[str]:
    """Base names of the files that URLs mean."""
    return [file.url.rpartition("/")[2] for file in list_files(ReadSettings(), map(str, urls))]


def test_a_file_a_folder_and_a_glob(folder: Path) -> None:
    """A folder means all files of known formats below it."""
    assert names(folder / "b.jsonl") == ["b.jsonl"]
    assert names(folder) == ["a.csv.gz", "b.jsonl", "c.parquet"]
    assert names(f"{folder}/*") == ["a.csv.gz", "b.jsonl"]
    assert names(f"{folder}/**/*.parquet") == ["c.parquet"]


def test_every_file_comes_once_and_in_order(folder: Path) -> None:
    """However often its URL is given."""
    assert names(folder / "b.jsonl", folder, f"{folder}/*.gz") == ["a.csv.gz", "b.jsonl", "c.parquet"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    """Brackets are common in names of downloads."""
    (tmp_path / "x[1].jsonl").write_text("{}")
    assert names(tmp_path / "x[1].jsonl") == ["x[1].jsonl"]


def test_a_url_that_matches_nothing_names_what_is_near(folder: Path) -> None:
    """The first folder or file that does not exist is compared with its neighbours."""
    with pytest.raises(UsageError, match=r"did you mean .*b\.jsonl"):
        names(folder / "b.json")
    with pytest.raises(UsageError, match=r"did you mean .*deep"):
        names(folder / "deeep" / "*.parquet")
    with pytest.raises(UsageError, match=r"has .*b\.jsonl"):
        names(folder / "zzzzzzzzz")


def test_an_unknown_format_is_an_error_that_lists_the_known_ones(folder: Path) -> None:
    """Rather than an empty corpus."""
    with pytest.raises(UsageError, match=r"image\.png.*\.jsonl"):
        names(folder / "deep" / "image.png")
    with pytest.raises(UsageError, match="expected a path or an fsspec URL"):
        names("nonsense://x/y.jsonl")


def test_identity_follows_the_content_of_a_local_file(folder: Path) -> None:
    """A touched or rewritten file is the same; a changed one of equal size is not."""
    (before,) = list_files(ReadSettings(), [str(folder / "b.jsonl")])
    os.utime(folder / "b.jsonl", (1, 1))
    (touched,) = list_files(ReadSettings(), [str(folder / "b.jsonl")])
    (folder / "b.jsonl").write_bytes(b"B.jsonl")
    (changed,) = list_files(ReadSettings(), [str(folder / "b.jsonl")])
    assert before == touched != changed


def test_identity_of_a_large_local_file_is_size_and_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading terabytes to plan would not do."""
    monkeypatch.setattr(inputs, "DIGEST_BYTES", 1)
    (before,) = list_files(ReadSettings(), [str(folder / "b.jsonl")])
    os.utime(folder / "b.jsonl", (1, 1))
    (touched,) = list_files(ReadSettings(), [str(folder / "b.jsonl")])
    assert before != touched


@pytest.mark.parametrize("protocol", ["memory", "s3"])
def test_identity_of_a_remote_file_is_what_its_store_says(protocol: str, request: pytest.FixtureRequest) -> None:
    """Equal while it is untouched, another when it is written anew with another content."""
    base = f"memory://{uuid.uuid4().hex}" if protocol == "memory" else request.getfixturevalue("s3_url")
    url = f"{base}/a.jsonl"
    with fsspec.open(url, "wb") as file:
        file.write(b"one")
    (before,), (again,) = list_files(ReadSettings(), [url]), list_files(ReadSettings(), [f"{base}/*.jsonl"])
    with fsspec.open(url, "wb") as file:
        file.write(b"two")
    (after,) = list_files(ReadSettings(), [url])
    assert before == again != after
    assert before.url == url if protocol == "s3" else before.url.startswith("memory://")


def test_the_first_matching_source_counts(folder: Path) -> None:
    """Without a name of its own, a source is called like its file."""
    sources = (SourceSettings(match="*/b.*", name="bee", licence="CC0-1.0"), SourceSettings(match="*", licence="MIT"))
    settings = ReadSettings(sources=sources)
    found = {stem(file.url): file.source for file in list_files(settings, [str(folder)])}
    assert (found["b"].name, found["b"].licence) == ("bee", "CC0-1.0")
    assert (found["a"].name, found["a"].licence) == ("a", "MIT")
    assert source_settings(ReadSettings(), "/x/y.csv") == SourceSettings()


@pytest.mark.parametrize("path", ["a.jsonl", "*.jsonl", ""])
def test_a_bucket_without_credentials_is_told(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own errors are no `OSError`."""
    without_credentials(monkeypatch)
    with pytest.raises(UsageError, match="cannot be listed: Unable to locate credentials; check the address"):
        names(f"s3://bucket-{uuid.uuid4().hex}/{path}")
