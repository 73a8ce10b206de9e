"""Container files, as far as they can be checked without a container engine: they name what exists, and no secret."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import app

FOLDER = Path(__file__).parents[2] / "deployments" / "containers"
ROOT = FOLDER.parents[1]


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
    return found


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.Dockerfile")), ids=lambda path: path.name)
def test_a_dockerfile_copies_what_is_there_and_does_not_run_as_root(file: Path) -> None:
    text = file.read_text("utf-8")
    for source in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
        assert (ROOT / source).exists(), source
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    for lock in re.findall(r"--requirement (\S+)", text):
        assert all("==" in line for line in (ROOT / lock).read_text("utf-8").splitlines() if line and line[0] != "#")


def test_every_service_waits_for_one_that_exists_and_runs_a_command_that_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    commands |= {
        one.callback.__name__ for group in app.registered_groups for one in group.typer_instance.registered_commands
    }
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        if service.get("command", ["prefect"])[0] == "fineinstructions":
            assert service["command"][1] in commands


def test_what_listens_listens_on_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert len(ports) == len({port.rpartition(":")[0] for port in ports}) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_deployments_get_every_variable_that_they_name(compose: dict[str, Any]) -> None:
    """What runs start in is the folder of the call; everything else comes out of the env file."""
    named = set(re.findall(r"\$(FINEINSTRUCTIONS_\w+)", (ROOT / "deployments" / "prefect.yaml").read_text("utf-8")))
    assert set(compose["services"]["deploy"]["environment"]) >= named - {"FINEINSTRUCTIONS_HOME"}
    written = (FOLDER / "example.env").read_text("utf-8")
    assert {name for name in named if f"\n{name}=" in written} == named - {"FINEINSTRUCTIONS_HOME"}


def test_no_two_workers_share_a_folder_of_figures(compose: dict[str, Any]) -> None:
    """Process ids name the files in it, and each container has its own."""
    workers = {name: one for name, one in compose["services"].items() if name.startswith("worker-gpu")}
    folders = [volume for one in workers.values() for volume in one["volumes"] if volume.endswith(":/metrics")]
    assert len(folders) == len(set(folders)) == len(workers) > 0
    for name in workers:
        served = compose["services"][name.replace("worker-", "metrics-")]["volumes"]
        assert set(served) <= set(workers[name]["volumes"])


def test_secrets_come_from_the_environment(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|AUTH|KEY", name):
                assert value.startswith("${"), name
    for line in (FOLDER / "example.env").read_text("utf-8").splitlines():
        if re.match(r"(POSTGRES_PASSWORD|PREFECT_AUTH|AWS_\w+)=", line):
            assert line.endswith("=")


def test_the_kubernetes_template_uses_only_its_variables() -> None:
    """And asks for GPUs as limits, which is what Kubernetes wants of extended resources."""
    text = (FOLDER / "kubernetes-gpu.json").read_text("utf-8")
    template = json.loads(text)
    assert set(re.findall(r"\{\{ (\w+) \}\}", text)) <= set(template["variables"]["properties"])
    container = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
