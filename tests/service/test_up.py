"""What `up` promises: it may be given again, and the schedule that it sets starts runs."""

from typing import Any

import pytest

from tests.service.operating import Operator, wait_until

pytestmark = [pytest.mark.prefect, pytest.mark.service]


def automations(operator: Operator) -> list[tuple[Any, Any]]:
    """Name and time of the last change of every automation."""
    return sorted((one["name"], one["updated"]) for one in operator.ask("automations", {}))


def test_up_again_starts_nothing_and_changes_nothing(operator: Operator) -> None:
    before = automations(operator)
    assert "nothing, it was all up" in operator.up()
    assert automations(operator) == before
    assert [name for name, _ in before] == ["crash runs that never started", "crash runs that stopped beating"]


def test_the_server_plans_runs_of_the_schedule(operator: Operator) -> None:
    """With SQLAlchemy 2.1 it cannot, and says so in its log only."""

    def planned() -> list[dict[str, Any]]:
        scheduled = operator.ask("flow_runs", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        return [run for run in scheduled if run["auto_scheduled"]]

    wait_until(planned)
    (deployment,) = {run["deployment_id"] for run in planned()}
    (found,) = operator.ask("deployments", {"deployments": {"id": {"any_": [deployment]}}})
    assert found["name"] == "scheduled"
    minute, hour, *_ = operator.cron.split()
    assert all(run["expected_start_time"].split("T")[1].startswith(f"{hour}:{minute}") for run in planned())
