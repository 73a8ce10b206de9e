"""What a task does about failures: retry those that may pass, and only those.

Retries happen in the same process. Work already published is kept, so a retry makes only what is missing.
Not covered: a process that died; its work is found pending by the next run.
"""

from typing import Any, TypedDict

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from models.errors import FineInstructionsError, TransientError
from tasks.storage import driver_errors

PERMANENT = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""Errors of a store that the same call would meet again."""


def is_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task run may succeed if it is tried again.

    A plain function: Prefect takes any other callable for "never".
    """
    error = state.data
    if isinstance(error, FineInstructionsError):
        return isinstance(error, TransientError)
    return isinstance(error, driver_errors()) and not isinstance(error, PERMANENT)


class Retry(TypedDict):
    """The options of `@task` that all stages share."""

    retries: int
    retry_delay_seconds: list[float]
    retry_jitter_factor: float
    retry_condition_fn: Any


RETRY: Retry = {
    "retries": 2,
    "retry_delay_seconds": [10, 60],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
}
