"""A store on the S3 protocol that fails now and then: the release is right or a shard failed; nothing is half there."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import s3fs
from polars.testing import assert_frame_equal

from models.digests import digest_bytes
from tasks.records import Part, Receipt
from tasks.released import Release
from tasks.work import part_record
from tests.conftest import ROOT
from tests.faulty_proxy import Faults, before

pytestmark = [pytest.mark.prefect, pytest.mark.service, pytest.mark.timeout(1800)]

SAMPLE = ROOT / "deployments" / "sample"
SHARE = 0.08
"""Of the requests that go wrong."""


@dataclass(frozen=True)
class User:
    """Somebody with documents, queries and a store on S3."""

    folder: Path
    engine: str
    store: str

    def run(self, store: str, endpoint: str = "") -> "subprocess.CompletedProcess[str]":
        """The command, to its end."""
        command = ["run", "--json", "--store", store, "--profile", str(ROOT / "tests" / "data" / "die.toml")]
        inputs = [f"--{kind}={self.folder / kind}.jsonl" for kind in ("queries", "documents")]
        environment = {"PREFECT_HOME": str(self.folder / "prefect"), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *command, *inputs, "--set", f"engines.smollm2.url={self.engine}"],
            cwd=ROOT,
            env={**os.environ, **environment, **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})},
            capture_output=True,
            text=True,
            timeout=900,
        )

    def undisturbed(self) -> pl.DataFrame:
        """The release of a store on the disk."""
        done = self.run(str(self.folder / "calm"))
        assert done.returncode == 0, done.stderr
        name = json.loads(done.stdout)["release"]["name"]
        return pl.read_parquet(self.folder / "calm" / "releases" / name / "data" / "*.parquet")

    def released(self, done: "subprocess.CompletedProcess[str]") -> pl.DataFrame:
        """The release on S3 that a call ended with."""
        files, name = objects(self.store), json.loads(done.stdout)["release"]["name"]
        return pl.concat(
            pl.read_parquet(io.BytesIO(data)) for path, data in files.items() if f"releases/{name}/data/" in path
        )


@pytest.fixture
def user(tmp_path: Path, server: str, s3_url: str) -> User:
    """Ten documents in three shards, thirty queries."""
    for kind, rows in (("documents", 10), ("queries", 30)):
        lines = (SAMPLE / f"{kind}.jsonl").read_text("utf-8").splitlines(keepends=True)
        (tmp_path / f"{kind}.jsonl").write_text("".join(lines[:rows]), "utf-8")
    return User(tmp_path, server, s3_url)


@pytest.fixture
def faults(s3_endpoint: str) -> Iterator[tuple[Faults, str]]:
    """A proxy before the store, which is honest as yet, and its URL."""
    found = Faults(s3_endpoint, random.Random(20))
    with before(found) as url:
        yield found, url


def objects(store: str) -> dict[str, bytes]:
    """Everything in the store, past the proxy."""
    system = s3fs.S3FileSystem(skip_instance_cache=True)
    return {path: system.cat_file(path) for path in system.find(store)}


def assert_nothing_is_half_there(store: str) -> None:
    """Whatever a record names is there, whole, and what the record says."""
    found = objects(store)
    for path, data in found.items():
        folder, _, name = path.rpartition("/")
        if name == "receipt.json":
            receipt = Receipt.model_validate_json(data)
            parts = f"{folder}/templates" if receipt.stage == "index" else folder
            for part in receipt.parts:
                assert Part.model_validate_json(found[part_record(parts, part.number)]) == part
        elif name.startswith("part-") and name.endswith(".json"):
            part = Part.model_validate_json(data)
            assert digest_bytes(found[f"{folder}/{part.file}"]) == part.digest
        elif name == "release.json":
            for file in Release.model_validate_json(data).files:
                assert digest_bytes(found[f"{folder}/{file.name}"]) == file.digest


def test_faults_here_and_there_change_nothing(user: User, faults: tuple[Faults, str]) -> None:
    """All kinds of faults, until each was met; a run that gives up says why, and the next one goes on."""
    undisturbed, (proxy, url) = user.undisturbed(), faults
    proxy.share = SHARE
    done = user.run(user.store, url)
    assert_nothing_is_half_there(user.store)
    for _ in range(4):
        if done.returncode == 0:
            break
        assert done.stderr.strip().splitlines()[-1], "a run that fails says why"
        done = user.run(user.store, url)
        assert_nothing_is_half_there(user.store)
    assert done.returncode == 0, done.stderr
    assert set(proxy.done) == {"error", "late", "upload cut", "answer lost", "download cut"}
    assert_frame_equal(user.released(done), undisturbed)


@pytest.mark.slow_service
def test_a_shard_that_cannot_be_written_fails_alone_and_says_why(user: User, faults: tuple[Faults, str]) -> None:
    """Its verdicts are refused, whatever it tries; once the store is well again, only they are made."""
    undisturbed, (proxy, url) = user.undisturbed(), faults
    assert user.run(user.store, url).returncode == 0
    judged = sorted(path for path in objects(user.store) if "/judge-" in path and path.endswith("/receipt.json"))
    system = s3fs.S3FileSystem(skip_instance_cache=True)
    for path in judged:
        system.rm(path.rpartition("/")[0], recursive=True)
    proxy.broken = judged[1].split("/")[-3] + "/judge-"
    failed = user.run(user.store, url)
    assert failed.returncode == 1
    assert proxy.broken.partition("/")[0] in failed.stderr
    assert "internal error" in failed.stderr
    assert_nothing_is_half_there(user.store)
    assert [path for path in judged if path in objects(user.store)] == [judged[0], judged[2]]
    proxy.broken = ""
    healed = user.run(user.store, url)
    assert healed.returncode == 0, healed.stderr
    assert_frame_equal(user.released(healed), undisturbed)
