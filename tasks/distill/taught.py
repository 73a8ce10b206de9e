"""What a large model made of a corpus, as labels for small ones: the step "teach" (paper 1.2, 1.6).

The teacher runs the ordinary pipeline in a store of its own, with the ordinary prompts, grammars, gates, re-asks and
receipts, and is never asked twice. What came of it becomes files of labels in the formats that `tasks.distill.labels`
reads: they can be looked at, corrected and put together with others before anything is trained.

    genericizer.jsonl    every template with its query
    instantiator.jsonl   every pair with its score, and every match that the teacher answered with null

Not covered: matches that ended in no answer of use (cut off, malformed); they say nothing about the document.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from tasks.bank import templates_folder
from tasks.instantiate import choose_windows, read_matches
from tasks.mine import mined_selections
from tasks.plan import document_shards, receipts, survey
from tasks.records import Receipt, Scope, Shard
from tasks.storage import Store
from tasks.tables import VERDICTS
from tasks.work import read_rejected, read_rows
from tasks.workspace import Workspace, open_workspace


def export_labels(scope: Scope, out: str) -> dict[str, int]:
    """Write the labels of a teacher's store; the number of rows of each file.

    Args:
        scope: The teacher's store, corpus and profile.
        out: URL of the folder that receives the files.

    Raises:
        UsageError: when nothing has been mined or ingested there.
    """
    workspace, folder = open_workspace(scope).pinned(), Store(out)
    return {
        "genericizer.jsonl": _write(folder, "genericizer.jsonl", _templates(workspace, scope)),
        "instantiator.jsonl": _write(folder, "instantiator.jsonl", _pairs(workspace, scope)),
    }


def _write(folder: Store, name: str, rows: Iterable[dict[str, Any]]) -> int:
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    folder.write(name, "".join(lines).encode())
    return len(lines)


def _templates(workspace: Workspace, scope: Scope) -> Iterator[dict[str, Any]]:
    columns = ["query_id", "query", "source", "template", "compatible_document_description"]
    for selection in mined_selections(scope):
        job = workspace.mine_job(selection)
        receipt = workspace.store.read_record(job.receipt_name, Receipt)
        for frame in read_rows(workspace.store, job.folder, receipt, columns):
            yield from frame.iter_rows(named=True)


def _pairs(workspace: Workspace, scope: Scope) -> Iterator[dict[str, Any]]:
    described = _descriptions(workspace)
    board = survey(workspace, document_shards(scope))
    instantiated, judged = (receipts(workspace, board, stage) for stage in ("instantiate", "judge"))
    for shard in board.shards:
        if shard.name in instantiated and instantiated[shard.name].parts:
            verdicts = _verdicts(workspace, shard, judged.get(shard.name))
            decided = _decided(workspace, shard, instantiated[shard.name]).join(verdicts, on="pair_id", how="left")
            for row in decided.iter_rows(named=True):
                yield _label(row, described[row["template"]])


def _descriptions(workspace: Workspace) -> dict[str, str]:
    """The descriptions of the bank's templates, by template: those that documents were matched to."""
    store, version = workspace.store, workspace.bank.version
    receipt = store.read_record(f"bank/{version}/receipt.json", Receipt)
    columns = ["template", "compatible_document_description"]
    return dict(row for frame in read_rows(store, templates_folder(version), receipt, columns) for row in frame.rows())


def _decided(workspace: Workspace, shard: Shard, receipt: Receipt) -> pl.DataFrame:
    """The matches that became a pair or null, with the window of the document that the teacher was shown."""
    matches = read_matches(workspace, shard)
    profile, job = workspace.profile, workspace.instantiate_job(shard)
    tokenizer = workspace.open_tokenizer()
    windows = choose_windows(matches, tokenizer, profile.instantiator.document_tokens, profile.embedder.chunks)
    nulls = read_rejected(workspace.store, job.folder, receipt).filter(reason="null").select(pair_id="id")
    made = pl.concat(read_rows(workspace.store, job.folder, receipt, ["pair_id", "instruction", "answer", "excerpts"]))
    decided = pl.concat([made, nulls], how="diagonal")
    shown = pl.DataFrame(windows, schema={"start": pl.Int64, "end": pl.Int64}, orient="row")
    asked = pl.concat([matches, shown], how="horizontal")
    return asked.join(decided, on="pair_id", maintain_order="left")


def _verdicts(workspace: Workspace, shard: Shard, receipt: Receipt | None) -> pl.DataFrame:
    columns = ["pair_id", "judge_score", "judge_feedback"]
    folder = workspace.judge_job(shard).folder
    frames = list(read_rows(workspace.store, folder, receipt, columns)) if receipt else []
    return pl.concat([VERDICTS.to_frame().select(columns), *frames])


def _label(row: dict[str, Any], description: str) -> dict[str, Any]:
    compatible = row["instruction"] is not None
    return {
        "document_id": row["document_id"],
        "document_start": row["start"],
        "document": row["text"][row["start"] : row["end"]],
        "template": row["template"],
        "compatible_document_description": description,
        "compatible": compatible,
        "instruction": row["instruction"],
        "answer": _quoted(row["answer"], row["excerpts"]) if compatible else None,
        "score": row["judge_score"],
        "feedback": row["judge_feedback"],
        "reason": None if compatible else "null",
        "similarity": row["similarity"],
    }


def _quoted(answer: str, excerpts: Iterable[dict[str, int]]) -> str:
    """The answer with its excerpts marked, each in full."""
    for span in sorted(excerpts, key=lambda span: -span["answer_start"]):
        start, end = span["answer_start"], span["answer_end"]
        answer = f"{answer[:start]}<excerpt>{answer[start:end]}</excerpt>{answer[end:]}"
    return answer
