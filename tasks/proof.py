"""The last look at a pair before it is published: every structural gate once more, against the document as read.

The gates belong to the stages that make pairs; here they are proved of the rows that lie in the store, so that a bug,
a hand-edited file or an old version of a stage cannot reach a release. A flaw is therefore an error of the whole shard
and never a counted reason.
Not covered: whether an answer is good; that is the judge's opinion.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import polars as pl

from models.errors import ShardError
from models.markup import find_markup
from models.settings import InstantiatorSettings
from models.templates import TemplateError, read_slots


def prove(pairs: pl.DataFrame, shard: str, settings: InstantiatorSettings) -> None:
    """Check every pair against its document.

    Args:
        pairs: `pair_id`, `template`, `instruction`, `answer`, `slots`, `excerpts`, `excerpt_share` and the document's
            `document_text`, exactly as read.
        shard: Named in the error.
        settings: Least excerpt share (paper 3.3) and the bounds on the answer's length.

    Raises:
        ShardError: naming the first flawed pair and its flaw.
    """
    for pair in pairs.iter_rows(named=True):
        if flaw := find_flaw(pair, settings):
            raise ShardError(
                f"pair {pair['pair_id']} of shard {shard} must not be published: {flaw}; "
                f"make the shard's pairs again: fineinstructions rerun --stage instantiate --shard {shard} --force"
            )


def find_flaw(pair: Mapping[str, Any], settings: InstantiatorSettings) -> str | None:
    """The first thing wrong with a pair, or None."""
    return _instruction_flaw(pair) or _excerpt_flaw(pair) or _answer_flaw(pair, settings)


def _instruction_flaw(pair: Mapping[str, Any]) -> str | None:
    for field in ("instruction", "answer"):
        if markup := find_markup(pair[field]):
            return f"its {field} contains the markup {markup}"
    try:
        slots = read_slots(pair["template"], pair["instruction"])
    except TemplateError as error:
        return str(error)
    if slots is None:
        return f"its instruction {pair['instruction'][:80]!r} does not fill the template {pair['template'][:80]!r}"
    if slots != pair["slots"]:
        return f"its slots are recorded as {pair['slots']}, but the instruction has {slots}"
    return None


def _excerpt_flaw(pair: Mapping[str, Any]) -> str | None:
    answer, document = pair["answer"], pair["document_text"]
    for span in pair["excerpts"]:
        quoted = answer[max(span["answer_start"], 0) : span["answer_end"]]
        source = document[max(span["document_start"], 0) : span["document_end"]]
        if not quoted or quoted != source or len(quoted) != span["answer_end"] - span["answer_start"]:
            return f"its excerpt {span} reads {quoted[:80]!r} in the answer, but {source[:80]!r} in the document"
    for text in ("answer", "document"):
        spans = sorted((span[f"{text}_start"], span[f"{text}_end"]) for span in pair["excerpts"])
        if any(end > start for (_, end), (start, _) in pairwise(spans)):
            return f"its excerpts {spans} overlap in the {text}"
    return None


def _answer_flaw(pair: Mapping[str, Any], settings: InstantiatorSettings) -> str | None:
    length = len(pair["answer"])
    if not settings.min_answer_characters <= length <= settings.max_answer_characters:
        expected = f"{settings.min_answer_characters} to {settings.max_answer_characters}"
        return f"its answer has {length} characters, expected {expected}"
    share = sum(span["answer_end"] - span["answer_start"] for span in pair["excerpts"]) / length
    if abs(share - pair["excerpt_share"]) > 1e-6:
        return f"its excerpt share is {share:.4f}, not {pair['excerpt_share']:.4f} as recorded"
    if share < settings.min_excerpt_share:
        return f"its excerpt share {share:.4f} is below {settings.min_excerpt_share}"
    return None
