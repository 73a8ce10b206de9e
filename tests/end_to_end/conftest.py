"""Runs of the real command in processes of their own, against a server that obeys grammars."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "deployments" / "sample"


@dataclass
class Project:
    """A user's folder: inputs, a store, and the command to run on them."""

    folder: Path
    server: str

    @property
    def documents(self) -> Path:
        """The documents file."""
        return self.folder / "documents.jsonl"

    @property
    def queries(self) -> Path:
        """The queries file."""
        return self.folder / "queries.jsonl"

    def command(self, verb: str, *options: str, store: str = "store") -> list[str]:
        """Arguments of one call of the command."""
        inputs = {
            "run": ["--queries", str(self.queries), "--documents", str(self.folder / "documents*.jsonl")],
            "mine": ["--queries", str(self.queries)],
            "ingest": ["--documents", str(self.folder / "documents*.jsonl")],
        }
        profile = [
            "--profile",
            str(ROOT / "tests" / "data" / "die.toml"),
            "--set",
            f"engines.smollm2.url={self.server}",
        ]
        place = ["--store", str(self.folder / store)]
        return [sys.executable, "-m", "flows.cli", verb, *options, *inputs.get(verb, []), *place, *profile]

    def start(self, verb: str, *options: str, store: str = "store") -> subprocess.Popen[str]:
        """Start a call and do not wait."""
        return subprocess.Popen(
            self.command(verb, *options, store=store),
            cwd=ROOT,
            env={
                **os.environ,
                "PREFECT_HOME": str(self.folder / "prefect"),
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, verb: str, *options: str, store: str = "store", code: int = 0) -> Any:
        """Run a call with `--json` to its end; returns what it printed, parsed."""
        process = self.start(verb, "--json", *options, store=store)
        output, errors = process.communicate(timeout=280)
        assert process.returncode == code, errors[-4000:]
        return json.loads(output) if output else errors

    def receipts(self, store: str = "store") -> dict[str, float]:
        """Receipts in the store and when they were written."""
        return {
            str(path.relative_to(self.folder / store)): path.stat().st_mtime
            for path in (self.folder / store).rglob("receipt.json")
        }


@pytest.fixture
def project(tmp_path: Path, server: str) -> Project:
    """Ten documents and thirty queries of the sample."""
    made = Project(tmp_path, server)
    made.documents.write_text("".join((SAMPLE / "documents.jsonl").open().readlines()[:10]))
    made.queries.write_text("".join((SAMPLE / "queries.jsonl").open().readlines()[:30]))
    return made
