"""The instantiator as compatibility judge: what became of the matches of a corpus, as labels for `calibrate`.

A match that became a pair is compatible, one that was answered with `null` is not (paper 3.3); the others say nothing.
Run once with a low `match.threshold` to have labels below the threshold that is sought. Read-only.
"""

import polars as pl

from tasks.calibrate import Calibration, pick_threshold
from tasks.plan import document_shards, receipts, survey
from tasks.records import Receipt, Scope, Shard
from tasks.work import read_rejected, read_rows
from tasks.workspace import Workspace, open_workspace


def calibrate_on_outcomes(scope: Scope, precision: float) -> Calibration:
    """Pick the match threshold at which a wanted share of the matches became pairs.

    Args:
        scope: Store, corpus, profile and bank whose instantiated shards are the labels.
        precision: Wanted share of compatible matches among those kept, 0 to 1.

    Raises:
        UsageError: when pairs or nulls are missing, or no threshold is as precise as that.
    """
    workspace = open_workspace(scope)
    board = survey(workspace, document_shards(scope))
    done = receipts(workspace, board, "instantiate")
    labels = [_labels(workspace, shard, done[shard.name]) for shard in board.shards if shard.name in done]
    empty = pl.DataFrame(schema={"similarity": pl.Float64, "compatible": pl.Boolean})
    labelled = pl.concat([empty, *(frame for frames in labels for frame in frames)])
    return pick_threshold(labelled["similarity"].to_list(), labelled["compatible"].to_list(), precision)


def _labels(workspace: Workspace, shard: Shard, receipt: Receipt) -> list[pl.DataFrame]:
    """`similarity` and `compatible` of the matches of one shard that were decided."""
    job, matched = workspace.instantiate_job(shard), workspace.match_job(shard)
    made = read_rows(workspace.store, job.folder, receipt, ["similarity"])
    pairs = [frame.with_columns(compatible=pl.lit(True)) for frame in made]
    nulls = read_rejected(workspace.store, job.folder, receipt).filter(reason="null").select(pair_id="id")
    source = workspace.store.read_record(matched.receipt_name, Receipt)
    matches = read_rows(workspace.store, matched.folder, source, ["pair_id", "similarity"])
    refused = [frame.join(nulls, on="pair_id").select("similarity", compatible=pl.lit(False)) for frame in matches]
    return pairs + refused
