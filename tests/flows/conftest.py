"""A small library in a store of its own, flows on a real Prefect server, and a command without a process."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from flows import cli
from flows.server import mend_temporary_servers
from tasks.index import current_bank, index
from tasks.ingest import ingest, record_corpus, unread_files
from tasks.plan import SHARD_STAGES, document_shards, survey
from tasks.records import Scope, Shard
from tasks.workspace import Workspace, open_workspace
from tests.tasks import small_bank
from tests.tasks.small_store import BEES, CATS, RIVERS, memory, part_files

DIE = Path(__file__).parents[1] / "data" / "die.toml"


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A real Prefect server for all tests of flows; a busy machine needs its time to start one."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        mend_temporary_servers()
        with prefect_test_harness(server_startup_timeout=120):
            yield


@dataclass(frozen=True)
class Library:
    """A store with a bank, and a folder of files of one document each, which become a shard each."""

    scope: Scope
    folder: Path

    @property
    def documents(self) -> tuple[str, ...]:
        """What to ingest."""
        return (str(self.folder),)

    @property
    def workspace(self) -> Workspace:
        """The workspace of the current bank."""
        return open_workspace(self.scope).pinned()

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards as of the last listing."""
        return document_shards(self.scope)

    def write(self, name: str, text: str) -> None:
        """A file of one document."""
        (self.folder / f"{name}.jsonl").write_text(json.dumps({"id": name, "text": text}) + "\n")

    def read(self) -> tuple[Shard, ...]:
        """Read the files into the store as the task does, without a server."""
        for file in unread_files(self.scope, "documents", self.documents):
            ingest.fn(self.scope, "documents", file)
        record_corpus(self.scope, "documents", self.documents)
        return self.shards

    def poison(self, shard: Shard) -> Callable[[], None]:
        """Take a shard's documents away; gives back what mends it."""
        store = self.workspace.store
        (name,) = part_files(store, self.workspace.ingest_job("documents", shard.name, shard.key).folder)
        data = store.read(name)
        store.delete(name)
        return lambda: store.write(name, data)

    def states(self) -> list[tuple[str, ...]]:
        """The states of every shard in match, instantiate and judge."""
        board = survey(self.workspace, self.shards)
        return [tuple(board.states[stage][shard.name] for stage in SHARD_STAGES) for shard in board.shards]

    def receipts(self) -> set[str]:
        """Every receipt in the store."""
        return {name for name in self.workspace.store.find("") if name.endswith("/receipt.json")}

    @property
    def options(self) -> list[str]:
        """Store and profile as options of the command."""
        settings = [part for override in self.scope.overrides for part in ("--set", override)]
        return ["--store", self.scope.store, "--profile", self.scope.profile, *settings]


@pytest.fixture
def library(tmp_path: Path, server: str) -> Library:
    """Three documents that nobody has read yet, and a bank of five templates."""
    settings = (f"engines.smollm2.url={server}", "queries.languages=[]")
    scope = Scope(store=memory(), profile=str(DIE), overrides=settings)
    workspace = open_workspace(scope)
    index.fn(scope, (small_bank.mined(workspace, "questions-0", small_bank.subject_rows()),))
    assert current_bank(scope).templates == 5
    made = Library(scope, tmp_path / "documents")
    made.folder.mkdir()
    for name, text in (("bees", BEES), ("cats", CATS), ("rivers", RIVERS)):
        made.write(name, text)
    return made


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Calls the command in this process: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fineinstructions", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        output, errors = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, output, errors

    return call
