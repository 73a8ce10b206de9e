"""What a server must know, told it twice."""

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate

from flows.server_setup import prepare

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def test_the_limit_that_an_operator_has_set_stays() -> None:
    """Only the planners are limited by us."""
    with get_client(sync_client=True) as client:
        prepare(client, planners=4)
        client.update_work_pool("gpu", WorkPoolUpdate(concurrency_limit=2))
        prepare(client, planners=5)
        assert [client.read_work_pool(name).concurrency_limit for name in ("cpu", "gpu")] == [5, 2]
