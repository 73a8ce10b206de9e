"""A table of shards for people: state, why, how often, how long; what needs attention comes first."""

from typing import Any

from tasks.overview import Overview
from tasks.plan import SHARD_STAGES, State

ATTENTION: tuple[State, ...] = ("quarantined", "failed", "pending", "waiting", "done")
"""States, the ones to look at first."""


def shard_rows(seen: Overview) -> list[dict[str, Any]]:
    """One row per shard and stage, by attention, stage and order of the corpus."""
    latest = {(failure.stage, failure.shard): failure for failure in seen.failures}
    rows: list[tuple[int, dict[str, Any]]] = []
    for stage in SHARD_STAGES:
        receipts = {receipt.shard: receipt for receipt in seen.receipts[stage]}
        for shard in seen.board.shards:
            state = seen.board.states[stage][shard.name]
            failure = latest.get((stage, shard.name))
            receipt = receipts.get(shard.name)
            row = {
                "shard": shard.name,
                "stage": stage,
                "state": state,
                "attempts": len(seen.board.failures.get((stage, shard.name), ())) + (receipt is not None),
                "rows": receipt.counts.rows_in if receipt else None,
                "seconds": receipt.seconds if receipt else None,
                "reason": f"{failure.error}: {failure.message[:200]}" if failure else "",
            }
            rows.append((ATTENTION.index(state), row))
    return [row for _, row in sorted(rows, key=lambda ranked: ranked[0])]
