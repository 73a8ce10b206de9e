"""Labels for the small models, read from jsonl files at fsspec URLs (paper 1.2, 1.6, 1.7: "silver" data).

    genericizer   query_id, query, template or null, compatible_document_description, reason
    pairs         document_id, document, template, compatible, instruction, answer, reason
    judgements    the fields of pairs, score, feedback; `flawed`: worse answers, each with score and feedback
    judged        document_id, instruction, answer without markup, score, feedback: pairs of a small model
    documents     document_id, document: whole ones, of which those of pairs are passages; for measurements only

Other fields are ignored; an answer quotes its document with excerpt markup. A file that cannot be used, or a row that
lacks a field, is a `UsageError` that names it: labels are few and somebody made them. A judged answer whose excerpts
cannot be found, or whose pair an earlier row has, is returned as rejected.

Not covered: whether a label passes production's gates, and pairs that are labelled twice (`tasks.distill.examples`).
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from models.digests import digest
from models.excerpts import expand
from models.refusals import Refusal
from tasks.label_files import read_label_file, require
from tasks.refused import refused_frame
from tasks.tables import GENERICIZER_LABELS, JUDGE_LABELS, PAIR_LABELS

REPEATED = Refusal("repeated", "an earlier row has the same document and template")
"""Why the second label of a pair does not count."""

_SCORED = {"answer": pl.String(), "score": pl.Int64(), "feedback": pl.String()}
_PAIRS = pl.Schema({name: kind for name, kind in PAIR_LABELS.items() if name != "pair_id"})
_WHOLE = pl.Schema({"document_id": pl.String(), "document": pl.String()})
_JUDGED = pl.Schema({name: kind for name, kind in JUDGE_LABELS.items() if name != "judgement_id"})
_JUDGEMENTS = pl.Schema({**_PAIRS, **_SCORED, "flawed": pl.List(pl.Struct(_SCORED))})
_SCORED_NOTHING = pl.element().struct.field("score").is_not_null() & pl.element().struct.field("answer").is_null()


def read_genericizer_labels(url: str) -> pl.DataFrame:
    """Queries with their templates, `GENERICIZER_LABELS`.

    Raises:
        UsageError: the file cannot be read, or a row lacks a field.
    """
    labels = read_label_file(url, GENERICIZER_LABELS, ["query_id", "query"])
    require(url, labels, ["compatible_document_description"], where=pl.col("template").is_not_null())
    return labels


def read_pair_labels(url: str) -> pl.DataFrame:
    """Documents and templates with what the instantiator should make of them, `PAIR_LABELS`.

    Raises:
        UsageError: the file cannot be read, or a row lacks a field.
    """
    return _pairs(url, _PAIRS).match_to_schema(PAIR_LABELS)


def read_whole_documents(url: str | None) -> dict[str, str]:
    """Texts by id; none without a file.

    Raises:
        UsageError: the file cannot be read, or a row lacks a field.
    """
    if url is None:
        return {}
    return dict(read_label_file(url, _WHOLE, _WHOLE.names()).iter_rows())


def read_judge_labels(url: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The judged answers of a file of pairs, good and flawed: `JUDGE_LABELS`, and rejected rows.

    Raises:
        UsageError: the file cannot be read, or a row lacks a field.
    """
    labels = _pairs(url, _JUDGEMENTS)
    lacking = pl.col("compatible") & pl.col("flawed").list.eval(_SCORED_NOTHING).list.any()
    require(url, labels.with_columns(pl.lit(None).alias("flawed.answer")), ["flawed.answer"], where=lacking)
    pairs = labels.with_columns(first=pl.col("pair_id").is_first_distinct()).filter("compatible")
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    for pair in pairs.iter_rows(named=True):
        for label in _judged(pair):
            (rejected if "reason" in label else kept).append(label)
    refused = pl.DataFrame(rejected, schema={"id": pl.String, "reason": pl.String, "detail": pl.String})
    return pl.DataFrame(kept, schema=JUDGE_LABELS), refused_frame(refused)


def read_judged_labels(url: str) -> pl.DataFrame:
    """Judged pairs that are nobody's label for the instantiator, `JUDGE_LABELS`; what a small model makes, mostly.

    Raises:
        UsageError: the file cannot be read, or a row lacks a field.
    """
    labels = read_label_file(url, _JUDGED, _JUDGED.names())
    ids = [digest(*row) for row in labels.select("document_id", "instruction", "answer").iter_rows()]
    return labels.with_columns(judgement_id=pl.Series(ids, dtype=pl.String)).match_to_schema(JUDGE_LABELS)


def _judged(pair: dict[str, Any]) -> Iterator[dict[str, Any]]:
    document = pair["document"]
    for scored in (pair, *(pair["flawed"] or ())):
        if scored["score"] is None:
            continue
        id = digest(pair["pair_id"], scored["answer"])
        expanded = expand(scored["answer"], document, (0, len(document))) if pair["first"] else REPEATED
        if isinstance(expanded, Refusal):
            yield {"id": id, "reason": expanded.reason, "detail": expanded.detail}
        else:
            yield {
                "judgement_id": id,
                "document_id": pair["document_id"],
                "instruction": pair["instruction"],
                "answer": expanded.text,
                "score": scored["score"],
                "feedback": scored["feedback"] or "",
            }


def _pairs(url: str, schema: pl.Schema) -> pl.DataFrame:
    """The rows with a column `pair_id`."""
    labels = read_label_file(url, schema, ["document_id", "document", "template", "compatible"])
    require(url, labels, ["instruction", "answer"], where=pl.col("compatible"))
    ids = [digest(*row) for row in labels.select("document_id", "document", "template").iter_rows()]
    return labels.with_columns(pair_id=pl.Series(ids, dtype=pl.String))
