"""Labels to training examples: production's gates, the held-out split, and a choice that keeps what is rare.

A label that fails a gate never becomes an example; it is returned with the reason. The split is by document or query
through a hash of its id (`models.training.split`), so that a label never changes sides when others are added, and no
document has labels on both. Where fewer examples are wanted than there are, each kind of label (length, number of
slots, mathematics or code) is taken in proportion and none is left without any (paper 3.3: round 2).

Not covered: whether a label is right.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.digests import digest
from models.excerpts import expand
from models.genericizer import Generic
from models.judge import Judgement
from models.refusals import Refusal
from models.settings import GenericizerSettings, InstantiatorSettings, JudgeSettings
from models.training.examples import Example, PairLabel, genericizer_example, judge_example, pair_example
from models.training.split import held_out
from tasks.distill.labels import REPEATED
from tasks.refused import refused_frame
from tasks.refused import split as refused_split

_MATHEMATICS = re.compile(
    r"\b(?:math\w*|equations?|calculat\w*|solve|algebra|geometry|derivative|integral|theorem|probability|percent\w*)\b"
    r"|\d\s*[-+*/^=]\s*\d",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\b(?:python|java(?:script)?|sql|html|css|code|coding|regex|api|bash|linux|function|program\w*|algorithm)\b|```"
    r"|\w\(\)|[{};]\s*$",
    re.IGNORECASE | re.MULTILINE,
)

MOST_SLOTS = 4
"""Templates with more slots are of one kind."""


@dataclass(frozen=True)
class Taught:
    """Labels that passed the gates, their examples in the same order, and the rejected ones (`REJECTED`)."""

    labels: pl.DataFrame
    examples: tuple[Example, ...]
    rejected: pl.DataFrame

    def take(self, wanted: pl.Series) -> "Taught":
        """Those labels for which a boolean series is true."""
        examples = tuple(example for example, kept in zip(self.examples, wanted, strict=True) if kept)
        return Taught(self.labels.filter(wanted), examples, self.rejected)


def teach_genericizer(labels: pl.DataFrame, settings: GenericizerSettings) -> Taught:
    """Examples of `GENERICIZER_LABELS`; the grammar cannot say that there is no template, so null is a reason."""

    def example(row: dict[str, Any]) -> Example | Refusal:
        if row["template"] is None:
            return Refusal("null", row["reason"] or "")
        generic = Generic(row["template"], row["compatible_document_description"])
        return genericizer_example(row["query_id"], row["query"], generic, settings)

    return _taught(labels, "query_id", example)


def teach_instantiator(labels: pl.DataFrame, settings: InstantiatorSettings) -> Taught:
    """Examples of `PAIR_LABELS`, each pair once; also of those that fill a slot in words that decoding would forbid."""
    settings = settings.model_copy(update={"slot_values": "free"})
    known: set[str] = set()

    def example(row: dict[str, Any]) -> Example | Refusal:
        if row["pair_id"] in known:
            return REPEATED
        known.add(row["pair_id"])
        label = PairLabel(row["template"], row["document"], row["instruction"], row["answer"])
        if label.answer and (refusal := _own_words(label.answer, label.document, settings.min_excerpt_share)):
            return refusal
        return pair_example(row["pair_id"], label, settings)

    nothing = pl.when("compatible").then(pl.col("instruction", "answer"))
    return _taught(labels.with_columns(nothing), "pair_id", example)


def _own_words(answer: str, document: str, share: float) -> Refusal | None:
    """A refusal when too much of an answer is not the document's, whatever of it might be left out."""
    expansion = expand(answer, document, (0, len(document)))
    if isinstance(expansion, Refusal) or expansion.share >= share:
        return None
    return Refusal("excerpt_share_low", f"expected {share:.2f} or more, found {expansion.share:.2f}")


def teach_judge(labels: pl.DataFrame, settings: JudgeSettings) -> Taught:
    """Examples of `JUDGE_LABELS`."""

    def example(row: dict[str, Any]) -> Example | Refusal:
        judgement = Judgement(row["score"], row["feedback"])
        return judge_example(row["judgement_id"], (row["instruction"], row["answer"]), judgement, settings)

    return _taught(labels, "judgement_id", example)


def _taught(labels: pl.DataFrame, id: str, make: Callable[[dict[str, Any]], Example | Refusal]) -> Taught:
    made = [make(row) for row in labels.iter_rows(named=True)]
    passed, refused = refused_split(labels, [one if isinstance(one, Refusal) else None for one in made])
    examples = tuple(one for one in made if isinstance(one, Example))
    return Taught(passed, examples, refused_frame(refused.with_columns(pl.col(id).alias("id"))))


def split(taught: Taught, by: str, share: float = 0.15, seed: int = 0) -> tuple[Taught, Taught]:
    """Training and held-out labels.

    Args:
        taught: All labels.
        by: Column whose values do not go apart: `document_id`, or `query_id`.
        share: Of the values, held out.
        seed: Of the split.
    """
    held = pl.Series([held_out(value, share, seed) for value in taught.labels[by]], dtype=pl.Boolean)
    return taught.take(~held), taught.take(held)


def limit_nulls(taught: Taught, share: float, seed: int = 0) -> Taught:
    """`PAIR_LABELS` with at most this share of incompatible ones (paper 3.3: about 0.05), drawn by a seeded hash.

    Args:
        taught: From `teach_instantiator`.
        share: 0 to less than 1.
        seed: Of the draw.
    """
    compatible = taught.labels["compatible"]
    most = round(int(compatible.sum()) * share / (1 - share))
    drawn = sorted(taught.labels.filter(~compatible)["pair_id"], key=lambda id: digest(seed, id))[:most]
    return taught.take(compatible | taught.labels["pair_id"].is_in(drawn))


def choose(taught: Taught, most: int, seed: int = 0) -> Taught:
    """At most so many labels, from each kind in proportion, and from each kind some as long as there is room.

    Examples of one group are taken together, since together they cost little more than one of them.
    """
    kinds = pl.DataFrame(
        {
            "group": [example.group for example in taught.examples],
            "kind": [kind_of(example) for example in taught.examples],
        },
        schema={"group": pl.String, "kind": pl.String},
    )
    groups = kinds.group_by("group", maintain_order=True).agg(pl.first("kind"), pl.len())
    drawn = groups.with_columns(
        order=pl.Series([digest(seed, group) for group in groups["group"]], dtype=pl.String)
    ).sort("order")
    place = pl.int_range(pl.len()).over("kind") / pl.len().over("kind")
    chosen = drawn.with_columns(place=place).sort("place", "order").filter(pl.col("len").cum_sum() <= most)
    return taught.take(kinds["group"].is_in(chosen["group"].to_list()))


def kind_of(example: Example) -> str:
    """Length, number of slots, and mathematics, code or other: what `choose` keeps in proportion."""
    asked = example.messages[-1].content
    length = len(asked).bit_length()
    slots = min(max(asked.count("<fi>"), example.completion.count("<fi>")), MOST_SLOTS)
    topic = "mathematics" if _MATHEMATICS.search(asked) else "code" if _CODE.search(asked) else "other"
    return f"{length} {slots} {topic}"
