"""Every deployment can be made: its entrypoint imports and its parameters are those of its flow."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow

from flows.server_setup import POOLS, QUEUES, automations

ROOT = Path(__file__).parents[2]
VARIABLES = {"CRON": "15 2 * * *", "PROFILE": "tiny"}


def deployments() -> list[dict[str, Any]]:
    """As they are written, with every variable filled in."""
    text = (ROOT / "deployments" / "prefect.yaml").read_text("utf-8")
    for name in ("HOME", "STORE", "QUERIES", "DOCUMENTS", "PROFILE", "CRON"):
        text = text.replace(f"{{{{ $FINEINSTRUCTIONS_{name} }}}}", VARIABLES.get(name, "memory://x"))
    found: list[dict[str, Any]] = yaml.safe_load(text)["deployments"]
    return found


def flow_of(deployment: dict[str, Any]) -> Flow[Any, Any]:
    """The flow behind its entrypoint."""
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), name)
    assert isinstance(flow, Flow)
    return flow


@pytest.mark.parametrize("deployment", deployments(), ids=lambda one: one["entrypoint"] + "/" + one["name"])
def test_parameters_are_those_of_the_flow(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    assert set(flow.validate_parameters(deployment["parameters"])) >= set(deployment["parameters"])
    properties = flow.parameters.properties
    assert all(properties[name].get("description") for name in properties), "every field of the form explains itself"


def test_pools_and_queues_exist_and_names_are_unique() -> None:
    found = deployments()
    assert {one["work_pool"]["name"] for one in found} == set(POOLS)
    assert {one["work_pool"]["work_queue_name"] for one in found} == set(QUEUES)
    names = [(flow_of(one).name, one["name"]) for one in found]
    assert len(set(names)) == len(names)
    assert ("process-shards", "gpu") in names
    assert ("rerun-shards", "rerun") in names


def test_no_value_is_left_to_the_environment_but_the_named_ones() -> None:
    assert "$" not in os.linesep.join(map(str, deployments()))


def test_alerts_are_made_only_when_there_is_somewhere_to_send_them() -> None:
    block = "5f3f1a52-0f5e-4c44-9a53-0d2f6f0a6c1d"
    always = ["crash runs that stopped beating", "crash runs that never started"]
    assert [one.name for one in automations("")] == always
    assert len(automations(block)) == len(always) + 2
