"""Every format, every compression, every kind of damage."""

import csv
import gzip
import io
import json
import uuid
from pathlib import Path

import fsspec
import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from models.refusals import Refusal
from tasks.readers import FORMATS, Reading, Row, format_of, read_file
from tasks.readers import streams as streams_module

TEXTS = ["plain", 'with "quotes", commas\tand tabs', "two\nlines", "grüße 北京 🙂", " blanks around "]


def packed(data: bytes, name: str) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(data)
    return zstandard.compress(data) if name.endswith(".zst") else data


def encoded(texts: list[str], name: str) -> bytes:
    form = format_of(name)
    if form in (".csv", ".tsv"):
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="," if form == ".csv" else "\t")
        writer.writerows([["number", "text"], *enumerate(texts)])
        return out.getvalue().encode()
    if form == ".parquet":
        out = io.BytesIO()
        pl.DataFrame({"number": range(len(texts)), "text": texts}).write_parquet(out, row_group_size=2)
        return out.getvalue()
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def write(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def read(url: str, unit: str = "file", columns: frozenset[str] = frozenset({"text"})) -> list[Row]:
    return list(read_file(url, Reading(unit, columns)))


def texts_of(rows: list[Row]) -> list[str]:
    return [row.content["text"] for row in rows if not isinstance(row.content, Refusal)]


def refusals_of(rows: list[Row]) -> list[tuple[int, str]]:
    return [(row.number, row.content.reason) for row in rows if isinstance(row.content, Refusal)]


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"])
def test_every_format_gives_every_text_back(tmp_path: Path, form: str, compression: str) -> None:
    name = f"input{form}{compression}"
    rows = read(write(tmp_path, name, packed(encoded(TEXTS, name), name)))
    assert texts_of(rows) == TEXTS
    assert [row.number for row in rows] == list(range(len(TEXTS)))


@pytest.mark.parametrize("name", ["input.jsonl.gz", "input.csv", "input.parquet", "input.parquet.zst"])
def test_remote_files_read_like_local_ones(name: str) -> None:
    url = f"memory://{uuid.uuid4().hex}/{name}"
    with fsspec.open(url, "wb") as file:
        file.write(packed(encoded(TEXTS, name), name))
    assert texts_of(read(url)) == TEXTS


def test_plain_text_is_a_row_a_file_or_a_row_a_line(tmp_path: Path) -> None:
    url = write(tmp_path, "notes.md.gz", gzip.compress("\ufeff# Title\r\n\r\n  body  \n".encode()))
    assert texts_of(read(url, "file")) == ["# Title\r\n\r\n  body  \n"]
    lines = read(url, "line")
    assert texts_of(lines) == ["# Title", "  body  "]
    assert [row.number for row in lines] == [0, 2]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_an_empty_file_has_no_rows(tmp_path: Path, form: str) -> None:
    if form == ".parquet":
        assert read(write(tmp_path, "empty.parquet", encoded([], "empty.parquet"))) == []
    else:
        assert read(write(tmp_path, f"empty{form}", b"")) == []


def test_byte_order_marks_are_no_part_of_the_text(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert texts_of(read(write(tmp_path, "a.jsonl", mark + b'{"text": "x"}\n'))) == ["x"]
    assert texts_of(read(write(tmp_path, "a.csv", mark + b"text\nx\n"))) == ["x"]
    assert texts_of(read(write(tmp_path, "a.txt", mark + b"x"))) == ["x"]


def test_bad_json_lines_cost_themselves_only(tmp_path: Path) -> None:
    lines = [b'{"text": "first"}', b"{oops", b"", b'["list"]', b'{"text": "\xff"}', b"[" * 100_000, b'{"text": "last"}']
    rows = read(write(tmp_path, "bad.jsonl", b"\n".join(lines)))
    assert texts_of(rows) == ["first", "last"]
    assert refusals_of(rows) == [
        (1, "malformed_json"),
        (3, "not_an_object"),
        (4, "wrong_encoding"),
        (5, "malformed_json"),
    ]
    assert rows[-1].number == 6


def test_bad_csv_records_cost_themselves_only(tmp_path: Path) -> None:
    data = b'id,text\n1,good\n2\n3,too,many\n"4"x,quote\n5,\xff\n\n6,"two\nlines"\n7,"never closed\n8,lost\n'
    rows = read(write(tmp_path, "bad.csv", data))
    assert texts_of(rows) == ["good", "two\nlines"]
    assert refusals_of(rows) == [
        (1, "malformed_csv"),
        (2, "malformed_csv"),
        (3, "malformed_csv"),
        (4, "wrong_encoding"),
        (7, "malformed_csv"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02",
        b"\x7fELF\x02\x01\x01\x00",
        gzip.compress(b"x", mtime=0),
        b"%PDF-1.7",
        '{"text": "x"}\n'.encode("utf-16"),
    ],
)
def test_a_binary_file_with_a_text_name_is_one_refused_row(tmp_path: Path, data: bytes) -> None:
    for name in ("x.jsonl", "x.csv", "x.txt"):
        assert refusals_of(read(write(tmp_path, name, data))) == [(0, "binary_file")]


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_truncated_file_keeps_the_rows_before_the_break(tmp_path: Path, compression: str) -> None:
    name = f"cut.jsonl{compression}"
    noise = [uuid.uuid5(uuid.NAMESPACE_URL, str(number)).hex for number in range(20_000)]
    data = packed(encoded(noise, name), name)
    rows = read(write(tmp_path, name, data[: len(data) // 2]))
    kept = texts_of(rows)
    assert 5_000 < len(kept) < 15_000
    assert kept == noise[: len(kept)]
    assert refusals_of(rows) == [(len(kept), "truncated_file")]


@pytest.mark.parametrize("name", ["broken.jsonl.gz", "broken.jsonl.zst", "broken.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_one_refused_row(tmp_path: Path, name: str) -> None:
    assert refusals_of(read(write(tmp_path, name, b"this is plain text, " * 10))) == [(0, "corrupt_file")]


def test_several_compressed_frames_are_one_file(tmp_path: Path) -> None:
    first, second = (json.dumps({"text": text}).encode() + b"\n" for text in ("one", "two"))
    assert texts_of(read(write(tmp_path, "a.jsonl.gz", gzip.compress(first) + gzip.compress(second)))) == ["one", "two"]
    frames = zstandard.compress(first) + zstandard.compress(second)
    assert texts_of(read(write(tmp_path, "a.jsonl.zst", frames))) == ["one", "two"]


def test_an_endless_line_is_refused_and_the_next_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "LINE_BYTES", 1000)
    data = b'{"text": "' + b"x" * 2500 + b'"}\n{"text": "next"}\n'
    rows = read(write(tmp_path, "long.jsonl", data))
    assert refusals_of(rows) == [(0, "too_long")]
    assert texts_of(rows) == ["next"]


def test_parquet_reads_only_the_columns_that_will_be_asked_for(tmp_path: Path) -> None:
    url = write(tmp_path, "a.parquet", encoded(["x"], "a.parquet"))
    assert read(url)[0].content == {"text": "x"}
    assert read(url, columns=frozenset({"body"}))[0].content == {"number": 0, "text": "x"}


def test_an_unknown_ending_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.jsonl"):
        read(write(tmp_path, "x.docx", b""))


@given(st.lists(st.one_of(st.binary(max_size=40), st.just(b'{"text": "ok"}'))))
def test_every_line_that_is_not_blank_comes_out_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    lines = [line.replace(b"\0", b"").replace(b"\n", b"") for line in lines]
    rows = read(write(tmp_path_factory.mktemp("lines"), "x.jsonl", b"{}\n" + b"\n".join(lines)))
    expected = [0] + [number for number, line in enumerate(lines, 1) if line.strip()]
    assert [row.number for row in rows] == expected
