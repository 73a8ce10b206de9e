"""What a Prefect server must know before it can serve this project: pools, queues, automations. Safe to repeat.

Queues order what waits for the same pool: what somebody asked for again goes before the schedule, and the schedule
before back-fills. The same queues exist on both pools, since batches inherit the queue of their planner.
Alerts are sent to a notification block that exists on the server; its name is the caller's to give.
"""

from importlib.resources import files
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from models.errors import UsageError

QUEUES = {"rerun": 1, "scheduled": 2, "backfill": 3}
"""Name to priority; 1 goes first."""

POOLS = {"cpu": "Planners: list, read, plan, publish.", "gpu": "Batches of shards: the models run here."}


def prepare(client: SyncPrefectClient, planners: int, alerts: str = "") -> None:
    """Create or update pools, queues and automations.

    Args:
        client: Of the server.
        planners: Runs of the cpu pool at a time.
        alerts: Notification block as TYPE/NAME (`slack-webhook/ops`); empty means no alerts.

    Raises:
        UsageError: the block of the alerts does not exist.
    """
    for pool, description in POOLS.items():
        _pool(client, pool, description, planners if pool == "cpu" else None)
        for queue, priority in QUEUES.items():
            _queue(client, pool, queue, priority)
    block = _block(client, alerts) if alerts else ""
    for automation in automations(block):
        _automation(client, automation)
    if not block:
        _silence(client)


def automations(block: str) -> list[AutomationCore]:
    """The automations of `deployments/automations.yaml`; those that alert only with a notification block's id."""
    return [AutomationCore.model_validate(one) for one in _written(block) if block or not _notifies(one)]


def _silence(client: SyncPrefectClient) -> None:
    """Delete the automations that alert, of an earlier `up` with a block."""
    for name in (one["name"] for one in _written("") if _notifies(one)):
        for found in client.read_automations_by_name(name):
            client.delete_automation(found.id)


def _written(block: str) -> list[dict[str, Any]]:
    text = (files("deployments") / "automations.yaml").read_text("utf-8").replace("$ALERT_BLOCK", block)
    found: list[dict[str, Any]] = yaml.safe_load(text)
    return found


def _notifies(automation: dict[str, Any]) -> bool:
    return any(action["type"] == "send-notification" for action in automation["actions"])


def _pool(client: SyncPrefectClient, name: str, description: str, limit: int | None) -> None:
    try:
        client.read_work_pool(name)
        # None would take away the limit that an operator has set.
        limited = {} if limit is None else {"concurrency_limit": limit}
        client.update_work_pool(name, WorkPoolUpdate.model_validate({"description": description, **limited}))
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        pool = WorkPoolCreate(
            name=name, description=description, type="process", base_job_template=template, concurrency_limit=limit
        )
        client.create_work_pool(pool)


def _queue(client: SyncPrefectClient, pool: str, name: str, priority: int) -> None:
    try:
        found = client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        client.create_work_queue(name, priority=priority, work_pool_name=pool)
    else:
        if found.priority != priority:
            client.update_work_queue(found.id, priority=priority)


def _automation(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Write it only where it differs: on SQLite a write may halt Prefect 3.7's server for good (its issue 23055)."""
    found = client.read_automations_by_name(automation.name)
    if not found:
        client.create_automation(automation)
        found = client.read_automations_by_name(automation.name)
    # Where the answer is late, Prefect's client creates it again.
    for repeated in found[1:]:
        client.delete_automation(repeated.id)
    if _content(found[0]) != _content(automation):
        client.update_automation(found[0].id, automation)


def _content(automation: AutomationCore) -> dict[str, Any]:
    """As Python objects: as JSON, equal sets may differ in order."""
    return automation.model_dump(include=set(AutomationCore.model_fields))


def _block(client: SyncPrefectClient, alerts: str) -> str:
    kind, _, name = alerts.partition("/")
    try:
        return str(client.read_block_document_by_name(name, kind).id)
    except ObjectNotFound as error:
        raise UsageError(
            f"alerts {alerts!r}: expected a notification block TYPE/NAME that exists on the server, found none; "
            "make one in the UI under Blocks, as slack-webhook/ops"
        ) from error
