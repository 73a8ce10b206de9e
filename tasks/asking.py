"""The loop that mine, instantiate and judge share: ask all requests, sort the answers, keep the error budget.

Every row ends in exactly one of three ways: a value; a refusal (the request could not be made, or the answer passed no
gate); a failure (the engine gave no answer). As soon as more rows have failed than the budget allows, the part is given
up: as transient when most of them may not fail again, otherwise for good. Nothing of a part given up is published. In a
part of fewer than `LEAST_ROWS` a few bad rows are soon more than the budget and say nothing about the others: there,
what would fail again ends the part only when every request failed.
Not covered: a shard of many parts each of which stays just within its budget; its receipt counts the failures.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import polars as pl

from models.asking import Answer, ask
from models.engine import Completion, Engine, Request
from models.errors import ShardError, TransientError
from models.refusals import Refusal
from models.settings import AskSettings
from tasks.records import Tokens
from tasks.refused import refused_frame
from tasks.tables import REJECTED

ValueT = TypeVar("ValueT")

LEAST_ROWS = 20
"""A smaller part has the budget of one of this size; else its first failure would break any."""

PASSING = frozenset({"unavailable"})
"""Kinds of failure that may not happen again; all others lie with the request or the model."""


@dataclass(frozen=True)
class Result(Generic[ValueT]):
    """What became of one row."""

    value: ValueT | Refusal
    raw: str | None = None
    attempts: int = 0
    failed: bool = False


@dataclass(frozen=True)
class Asked(Generic[ValueT]):
    """Results, one per row and aligned with the rows, and the tokens of all attempts."""

    results: list[Result[ValueT]]
    tokens: Tokens

    def accepted(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[ValueT]]:
        """The rows that have a value, with a column `attempts`, and the values."""
        accepted = [
            (place, result.value, result.attempts)
            for place, result in enumerate(self.results)
            if not isinstance(result.value, Refusal)
        ]
        attempts = pl.Series("attempts", [attempts for _, _, attempts in accepted], pl.Int64)
        kept = rows[[place for place, _, _ in accepted]].with_columns(attempts)
        return kept, [value for _, value, _ in accepted]

    def refused(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The other rows as a `REJECTED` table; `rows` has its columns `id`, `url` and `row`."""
        refused = [
            (place, result.value, result)
            for place, result in enumerate(self.results)
            if isinstance(result.value, Refusal)
        ]
        columns: dict[str, list[Any]] = {
            "kind": ["failed" if result.failed else "rejected" for _, _, result in refused],
            "reason": [refusal.reason for _, refusal, _ in refused],
            "detail": [refusal.detail for _, refusal, _ in refused],
            "raw": [result.raw for _, _, result in refused],
            "attempts": [result.attempts for _, _, result in refused],
        }
        series = [pl.Series(name, values, dtype=REJECTED[name]) for name, values in columns.items()]
        return refused_frame(rows[[place for place, _, _ in refused]].with_columns(series))


def ask_rows(
    engine: Engine,
    requests: Sequence[Request | Refusal],
    read: Callable[[int, Completion], ValueT | Refusal],
    settings: AskSettings,
) -> Asked[ValueT]:
    """Ask about every row of a part.

    Args:
        engine: Who answers.
        requests: One per row; a refusal is passed through without asking. Their ids are replaced by the row's place.
        read: Place of the row and completion to the value, or why there is none.
        settings: Number of re-asks, and the error budget as a share of the requests.

    Raises:
        TransientError: when the engine is gone, or most failures beyond the budget may pass.
        ShardError: when the failures beyond the budget would come again; in a small part, when all of it failed.
    """
    results = [Result[ValueT](request) if isinstance(request, Refusal) else None for request in requests]
    pending = [
        replace(request, id=str(place)) for place, request in enumerate(requests) if isinstance(request, Request)
    ]
    budget = _ErrorBudget(len(pending), settings.error_budget)
    tokens = Tokens()
    for answer in ask(engine, pending, lambda completion: read(int(completion.id), completion), settings.re_asks):
        results[int(answer.id)] = _result(answer)
        tokens += Tokens(prompt=answer.prompt_tokens, cached=answer.cached_tokens, output=answer.output_tokens)
        if answer.failed:
            budget.spend(answer.value)
    return Asked([result for result in results if result is not None], tokens)


def _result(answer: Answer[ValueT]) -> Result[ValueT]:
    raw = None if answer.failed else answer.completion.text
    return Result(answer.value, raw, answer.attempts, answer.failed)


class _ErrorBudget:
    """Counts failures and raises when there are too many."""

    def __init__(self, requests: int, share: float) -> None:
        self._requests = requests
        self._share = share
        self._failures: Counter[str] = Counter()

    def spend(self, failure: object) -> None:
        if isinstance(failure, Refusal):
            self._failures[failure.reason] += 1
        failed = self._failures.total()
        if failed <= self._share * max(self._requests, LEAST_ROWS):
            return
        passing = sum(self._failures[kind] for kind in PASSING)
        kinds = ", ".join(f"{number} {kind}" for kind, number in self._failures.most_common())
        message = (
            f"{failed} of {self._requests} requests failed ({kinds}), more than the error budget of {self._share:.0%}"
        )
        if 2 * passing > failed:
            raise TransientError(f"{message}; check that the engine can be reached, then run again")
        if self._requests >= LEAST_ROWS or failed == self._requests:
            raise ShardError(f"{message}; the same would happen again, look at the profile's engine and prompt")
