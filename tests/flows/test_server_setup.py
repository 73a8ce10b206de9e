"""What a server must know, told it twice."""

import pytest
from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from pydantic import SecretStr

from flows.server_setup import automations, prepare

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def test_the_limit_that_an_operator_has_set_stays() -> None:
    """Only the planners are limited by us."""
    with get_client(sync_client=True) as client:
        prepare(client, planners=4)
        client.update_work_pool("gpu", WorkPoolUpdate(concurrency_limit=2))
        prepare(client, planners=5)
        assert [client.read_work_pool(name).concurrency_limit for name in ("cpu", "gpu")] == [5, 2]


def test_alerts_can_be_switched_off_again() -> None:
    """What does not alert stays."""
    SlackWebhook(url=SecretStr("https://127.0.0.1/hook")).save("ops")
    quiet = {one.name for one in automations("")}
    with get_client(sync_client=True) as client:

        def known() -> set[str]:
            return {one["name"] for one in client.request("POST", "/automations/filter", json={}).json()}

        prepare(client, planners=4, alerts="slack-webhook/ops")
        assert len(known()) == len(quiet) + 2
        prepare(client, planners=4)
        assert known() == quiet
