"""The data card of a release: README.md with the YAML header that the Hub reads.

It says what is in the data set, out of what it was made, by which models and settings, and what was not done.
Text from outside (names of sources, licences, URLs) is escaped for Markdown tables.
Not covered: a licence for the whole; the card names those of the sources and leaves the judgement to the publisher.
"""

import html
import json
from typing import Any

import polars as pl

from tasks.figures import Figures, most_common
from tasks.funnel import UNITS, why_empty
from tasks.released import Release
from tasks.tables import MODELS, RELEASE, SPAN

COLUMNS: dict[str, str] = {
    "pair_id": "digest of document URL, document id and template",
    "document_id": "the document's own id, or a digest of its text",
    "document_source": "name of the source the document comes from",
    "document_url": "input file of the document",
    "document_row": "0-based row in that file",
    "template_id": "digest of the template's text",
    "template": "the template, with `<fi>what fits here</fi>` slots",
    "template_source": "source of the first query that became this template",
    "chunk": "which embedding of the document found the template: 0 = whole document, 1..K = local",
    "similarity": "exact cosine of that embedding and the template's description of compatible documents",
    "instruction": "the template with its slots filled from the document",
    "answer": "the answer, mostly excerpts of the document, word for word",
    "text": "the training string: `Instruction: ...`, an empty line, `Answer: ...`",
    "slots": "the values of the slots, in order",
    "excerpts": "spans, in code points: `answer[answer_start:answer_end] == document[document_start:document_end]`",
    "excerpt_share": "share of the answer's characters that are excerpts",
    "judge_score": "1 to 5",
    "judge_feedback": "the judge's reason",
    "token_count": "tokens of `text`",
    "document_token_count": "tokens of the whole document",
    "models": "name@revision of genericizer, embedder, instantiator, judge, and what finds passages, if any",
    "prompt_digest": "digest of the instantiator's prompt",
    "seed": "seed of the instantiator's sampling",
}
"""What every column of a release means."""

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")

_TYPES: dict[pl.DataType, str] = {
    pl.String(): "string",
    pl.Int64(): "int64",
    pl.Float64(): "float64",
    pl.List(pl.String()): "list of strings",
    pl.List(SPAN): "list of structs",
    MODELS: "struct",
}


def render_card(release: Release, figures: Figures) -> str:
    """The whole README.md, header and text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tasks", package_path=""),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = cell
    body = environment.get_template("card.md.j2").render(
        release=release,
        figures=figures,
        most_common=most_common,
        columns=[(name, _type_name(name), meaning) for name, meaning in COLUMNS.items()],
        units=UNITS,
        settings=json.dumps(release.settings, indent=1, ensure_ascii=False),
        why_empty=why_empty(release.funnel),
    )
    return f"---\n{header(release)}---\n\n{body}"


def header(release: Release) -> str:
    """The YAML header; `rejected.parquet` is kept out of the loadable splits."""
    from huggingface_hub import DatasetCardData

    licences = {item.source.licence for item in release.sources}
    named: dict[str, Any] = {"license": "unknown"}
    if licences - {"unknown"}:
        named = {"license": "other", "license_name": "those-of-the-sources"}
    card = DatasetCardData(
        pretty_name=release.name,
        language=list(release.settings.get("queries", {}).get("languages", ())) or None,
        task_categories=["text-generation", "question-answering"],
        annotations_creators=["machine-generated"],
        size_categories=[_size(release.rows)],
        tags=["fineinstructions", "synthetic", "instruction-tuning", "grounded"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}],
        **named,
    )
    return f"{card.to_yaml()}\n"


def cell(value: object) -> str:
    """`value` as the content of a Markdown table cell: one line, no HTML, no column separators, no links."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    for mark in ("\\", "|", "`", "[", "]", "*", "_"):
        text = text.replace(mark, f"\\{mark}")
    return text


def _size(rows: int) -> str:
    return _SIZES[min(max(len(str(rows)) - 3, 0), len(_SIZES) - 1)]


def _type_name(column: str) -> str:
    """The column's type in the words of a reader who knows no polars."""
    return _TYPES[RELEASE[column]]
