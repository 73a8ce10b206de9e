"""Which failures are tried again."""

import inspect
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.testing.utilities import prefect_test_harness

from models.errors import ShardError, TransientError, UsageError
from tasks.retry import RETRY, is_transient

ANY: Any = None


def failed(error: BaseException) -> State[Any]:
    """The state Prefect makes of an exception."""
    return cast("State[Any]", Failed(data=error, message="failed"))


@pytest.mark.parametrize(
    "error",
    [
        TransientError("engine"),
        ConnectionResetError(),
        TimeoutError(),
        OSError("slow down"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1"),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    """Connections, time-outs, an object store's complaints, a driver's own errors."""
    assert is_transient(ANY, ANY, failed(error))


@pytest.mark.parametrize(
    "error",
    [UsageError("x"), ShardError("x"), ValueError(), KeyError(), FileNotFoundError(), PermissionError(), MemoryError()],
)
def test_what_would_fail_again_is_not(error: Exception) -> None:
    """Neither what the user gave, nor what the shard is, nor a fault of ours."""
    assert not is_transient(ANY, ANY, failed(error))


def test_condition_is_a_plain_function() -> None:
    """Prefect would take anything else for "never"."""
    assert inspect.isfunction(RETRY["retry_condition_fn"])


@pytest.mark.prefect
def test_prefect_obeys() -> None:
    """The real engine runs a task as often as it should."""
    runs: list[str] = []

    @task(**{**RETRY, "retry_delay_seconds": [0.01], "retry_jitter_factor": None})
    def work(error: Exception) -> None:
        runs.append(type(error).__name__)
        raise error

    @flow
    def both() -> list[State[Any]]:
        return [work(error, return_state=True) for error in (TransientError("engine"), ShardError("row"))]

    with prefect_test_harness():
        assert both(return_state=True).is_failed()
    assert runs == ["TransientError"] * 3 + ["ShardError"]
