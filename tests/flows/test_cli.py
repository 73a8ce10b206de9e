"""The command: quick help, one clear line for every mistake, clean JSON, and exit codes that scripts can trust."""

import errno
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from botocore.exceptions import NoCredentialsError
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

from flows import commands, commands_service
from flows.cli import app
from flows.kept import Given, keep, recall
from flows.up import Service
from tests.conftest import free_port
from tests.flows.conftest import Library
from tests.tasks import small_store
from tests.tasks.small_corpus import fail, finish, recorded

ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str, str]]
STORE = ("--store", "memory://nothing")
KEYLESS = ("--profile", "server", "--set", "engines.server.api_key_env=NO_SUCH_KEY")


def on(url: str) -> list[str]:
    """Store and settings of `small_corpus`."""
    return ["--store", url, "--set", small_store.OVERRIDES[0]]


def test_help_answers_in_under_a_second() -> None:
    """Processor time, for the machine may be busy; nothing heavy is imported."""
    code = (
        "import sys; from typer.testing import CliRunner; from flows.cli import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print(*{'torch', 'prefect', 'polars', 'pydantic', 'fsspec', 'vllm'} & set(sys.modules))"
    )

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert seconds() - before < 1.0


def test_help_names_every_command() -> None:
    """One line each."""
    lines = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).output.splitlines()
    names = typer.main.get_command(app).commands
    assert len(names) > 12
    assert [name for name in names if not any(line.startswith(f"│ {name} ") for line in lines)] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", *STORE], "Missing option '--queries'"),
        (["status"], "Missing option '--store'"),
        (["rerun", *STORE], "give either --failed or --shard NAME"),
        (["rerun", *STORE, "--failed", "--shard", "a"], "give either --failed or --shard NAME"),
        (["rerun", *STORE, "--failed", "--force"], "needs the shards by name"),
        (["rerun", *STORE, "--shard", "a", "--stage", "index"], "'index' is not one of 'match', 'instantiate'"),
        (["preview", *STORE, "-n", "0"], "Invalid value for '-n'"),
        (["calibrate"], "give either --labels FILE or --store URL"),
        (["marry", *STORE], "No such command 'marry'"),
    ],
)
def test_bad_usage_ends_with_code_2(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """Said on standard error; nothing is started."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FINEINSTRUCTIONS_STORE", raising=False)
    code, output, errors = command(*arguments)
    assert (code, output) == (2, "")
    assert message in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", *STORE, "--corpus", "My Corpus"], "corpus 'My Corpus': expected small letters"),
        (["status", *STORE, "--profile", "tinny"], "profile 'tinny' cannot be read"),
        (["status", *STORE, "--set", "match.treshold=1"], "did you mean 'threshold'"),
        (["status", *STORE], "no template bank"),
        (["status", "--store", "nowhere://x"], "store 'nowhere://x' cannot be opened"),
        (["plan", *STORE, "--documents", "no-such-folder/*.jsonl"], "no file matches 'no-such-folder/*.jsonl'"),
        (["release", *STORE, "--set", "embedder.model=package:none"], "no model 'package:none'"),
        (["show", "whatever", *STORE], "whatever"),
        (["rerun", *STORE, "--failed", *KEYLESS], "NO_SUCH_KEY, which is not set"),
        (["preview", *STORE, *KEYLESS], "NO_SUCH_KEY, which is not set"),
    ],
)
def test_wrong_settings_are_one_line_and_code_2(command: Command, arguments: list[str], message: str) -> None:
    """With `--json` too: standard output stays empty."""
    code, output, errors = command(*arguments, "--json")
    assert (code, output) == (2, "")
    assert message in errors
    assert errors.startswith("fineinstructions: ")
    assert len(errors.splitlines()) == 1


def test_an_interrupted_command_says_how_to_go_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, as Typer passes it on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "status", interrupt)
    code, _, errors = command("status", *STORE)
    assert code == 130
    assert "interrupted; the same command continues where it stopped" in errors


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), NoCredentialsError()])
def test_a_store_that_cannot_be_used_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Not a traceback; and what to do."""

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "status", refuse)
    code, _, errors = command("status", *STORE)
    assert code == 1
    assert str(error) in errors
    assert "the same command again" in errors
    assert len(errors.splitlines()) == 1


def test_a_server_that_is_down_is_one_line(command: Command) -> None:
    """Before anything is run, or deployed."""
    workspace, _ = recorded(1)
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        for words in (("release", *on(workspace.scope.store)), ("deploy",)):
            code, output, errors = command(*words)
            assert (code, output, len(errors.splitlines())) == (2, "", 1)
            assert "unset PREFECT_API_URL" in errors or "correct PREFECT_API_URL" in errors


def test_deploy_wants_a_server_that_stays(command: Command) -> None:
    """A temporary one would take the deployments with it."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        code, _, errors = command("deploy")
    assert (code, "no PREFECT_API_URL is set" in errors) == (2, True)


def test_metrics_want_the_folder_of_the_figures(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """And say who makes it."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    code, _, errors = command("metrics")
    assert code == 2
    assert "PROMETHEUS_MULTIPROC_DIR names no folder" in errors
    assert "fineinstructions up" in errors


def test_up_given_less_is_as_the_last_time(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is given wins and is kept; what never was is the default."""
    for name in ("STORE", "QUERIES", "DOCUMENTS", "PROFILE", "CRON", "DATABASE"):
        monkeypatch.delenv(f"FINEINSTRUCTIONS_{name}", raising=False)
    seen: list[tuple[Service, tuple[str, ...]]] = []

    def start(service: Service, given: Given, recalled: tuple[str, ...]) -> None:
        seen.append((service, recalled))
        keep(tmp_path, given)

    monkeypatch.setattr(commands_service, "start", start)
    folder = ("--folder", str(tmp_path))
    command("up", *folder, "--store", "s3://bucket/store", "--documents", "s3://bucket/*.jsonl", "--planners", "2")
    command("up", *folder, "--planners", "3", "--alerts", "slack-webhook/ops")
    command("up", *folder)
    (first, nothing), (second, kept), (third, all_kept) = seen
    assert (nothing, sorted(kept)) == ((), ["documents", "store"])
    assert first.corpus == second.corpus == third.corpus
    assert (first.corpus.documents, first.corpus.profile) == ("s3://bucket/*.jsonl", "tiny")
    assert (first.planners, third.planners, third.alerts) == (2, 3, "slack-webhook/ops")
    assert sorted(all_kept) == sorted(recall(tmp_path))
    assert (tmp_path / "up.json").stat().st_mode & 0o077 == 0
    (tmp_path / "up.json").write_text("[]")
    code, _, errors = command("up", *folder)
    assert (code, "delete the file" in errors) == (2, True)


def test_status_shows_states_and_the_latest_failures(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """For machines as one JSON value, for people as tables; looking is no failure."""
    monkeypatch.setenv("COLUMNS", "200")
    workspace, shards = recorded(2)
    finish(workspace, shards[0], "match", "instantiate", "judge")
    fail(workspace, shards[1], "match", times=3)
    code, output, errors = command("status", "--json", *on(workspace.scope.store))
    assert (code, errors) == (0, "")
    seen = json.loads(output)
    assert seen["shards"]["library-1"] == {"match": "quarantined", "instantiate": "waiting", "judge": "waiting"}
    assert seen["failures"][0]["message"] == "attempt 3 on library-1"
    code, output, _ = command("status", *on(workspace.scope.store))
    assert code == 0
    assert "match of library-1: ShardError: attempt 3 on library-1" in output


def test_plan_tells_what_is_left_to_do(command: Command) -> None:
    """As one JSON value, and in a table with a time."""
    workspace, shards = recorded(2)
    finish(workspace, shards[0], "match", seconds=7200.0)
    code, output, errors = command("plan", "--json", *on(workspace.scope.store))
    assert (code, errors) == (0, "")
    assert [stage["shards"] for stage in json.loads(output)["stages"]] == [1, 2, 2]
    code, output, _ = command("plan", *on(workspace.scope.store))
    assert code == 0
    assert "2:00:00" in output
    assert "no rate yet" in output


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_failed_shard_is_named_with_its_reason_until_it_comes_through(command: Command, library: Library) -> None:
    """Code 1 while it stands failed, also for a release without it; JSON alone on standard output; 0 when mended."""
    _, poison, _ = library.read()
    mend = library.poison(poison)
    code, output, errors = command("ingest", "--json", "--documents", library.documents[0], *library.options)
    assert code == 1
    assert [totals["shards"] for totals in json.loads(output)][-3:] == [2, 2, 2]
    assert f"match of {poison.name}: FileNotFoundError: " in errors
    assert "Shards that failed or are in quarantine: 1. `fineinstructions status` says which and why" in errors
    code, output, errors = command("release", "--json", *library.options)
    assert (code, json.loads(output)["release"]["missing"]) == (1, [poison.name])
    mend()
    code, output, errors = command("rerun", "--json", "--failed", *library.options)
    assert code == 0, errors
    assert set(json.loads(output)["shards"][poison.name].values()) == {"done"}
    code, output, errors = command("rerun", "--json", "--failed", *library.options)
    assert (code, bool(json.loads(output))) == (0, True)
    assert "Nothing was pending" in errors


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_failures_leave_with_nothing_ends_with_code_1(
    command: Command, library: Library, tmp_path: Path
) -> None:
    """It is no bad usage that there is nothing to release; a second run of the queries finds them mined."""
    for name in ("cats", "rivers"):
        (library.folder / f"{name}.jsonl").unlink()
    (only,) = library.read()
    library.poison(only)
    queries = tmp_path / "queries.jsonl"
    queries.write_text("".join(json.dumps({"query": f"How do {name} live in winter?"}) + "\n" for name in ("A", "B")))
    inputs = ["--queries", str(queries), "--documents", library.documents[0], *library.options]
    code, output, errors = command("run", "--json", *inputs)
    assert (code, output) == (1, "")
    assert f"match of {only.name}: FileNotFoundError" in errors
    assert "none of the 1 shards of corpus 'main' has been judged" in errors
    code, output, errors = command("mine", "--json", "--queries", str(queries), *library.options)
    assert (code, errors) == (0, "")
    assert [totals["step"] for totals in json.loads(output)] == ["ingest queries", "select", "mine"]


def test_the_module_runs_as_a_program() -> None:
    """Not only as an entry point; and an empty call shows the help."""
    done = subprocess.run([sys.executable, "-m", "flows.cli"], cwd=ROOT, capture_output=True, text=True)
    assert "Usage" in done.stdout + done.stderr
    assert done.returncode in (0, 2)
