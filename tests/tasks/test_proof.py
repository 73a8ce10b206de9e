"""Every released pair passes every gate; a flawed one stops the release."""

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from models.errors import ShardError
from models.markup import find_markup
from models.templates import read_slots
from tasks.records import Shard
from tasks.release import publish
from tasks.workspace import Workspace
from tests.tasks.small_store import TEXTS, WRITTEN, Written, found, memory, part_files, read, rejected

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=40, max_size=300).filter(
    lambda text: find_markup(text) is None
)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[dict[str, str]], list[Written]]:
    """Some shards of any text, with pairs that quote anything of it."""
    shards = [
        {f"s{shard}d{number}": text for number, text in enumerate(found_texts)}
        for shard, found_texts in enumerate(draw(st.lists(st.lists(texts, max_size=3), min_size=1, max_size=3)))
    ]
    pairs = []
    for name, text in (item for shard in shards for item in shard.items()):
        for number in range(draw(st.integers(0, 4))):
            start = draw(st.integers(0, len(text) - 20))
            quote = text[start : draw(st.integers(start + 12, len(text)))]
            score = draw(st.integers(1, 5))
            pairs.append(Written(name, f"What about {name} {number}?", (quote,), score=score, chunk=number))
    return shards, pairs


@given(corpora())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_every_released_pair_passes_every_gate(corpus: tuple[list[dict[str, str]], list[Written]]) -> None:
    shards, pairs = corpus
    workspace, found_shards = found(memory(), shards, pairs, count=len)
    made = publish(workspace, found_shards)
    frame, left_out = read(workspace, made), rejected(workspace, made)
    event(f"{len(frame) > 0 = }, {len(left_out) > 0 = }")
    documents = {name: text for shard in shards for name, text in shard.items()}
    assert made.counts.rows_in == len(pairs) == len(frame) + len(left_out)
    assert set(frame["pair_id"]).isdisjoint(left_out["id"])
    assert made.rows == len(frame)
    for row in frame.iter_rows(named=True):
        assert_gates(row, documents[row["document_id"]])
    assert_budget(frame, documents)


def assert_gates(row: dict[str, Any], document: str) -> None:
    assert row["judge_score"] >= 4
    assert read_slots(row["template"], row["instruction"]) == row["slots"]
    assert find_markup(row["instruction"]) is None
    quoted = 0
    for span in row["excerpts"]:
        assert (
            row["answer"][span["answer_start"] : span["answer_end"]]
            == (document[span["document_start"] : span["document_end"]])
        )
        quoted += span["answer_end"] - span["answer_start"]
    assert quoted / len(row["answer"]) == pytest.approx(row["excerpt_share"])
    assert row["excerpt_share"] >= 0.8
    assert row["document_token_count"] == len(document)


def assert_budget(frame: pl.DataFrame, documents: dict[str, str]) -> None:
    """Documents are in the order of the corpus, so prefixes of one are prefixes of the other."""
    earned = spent = 0
    for name, text in documents.items():
        earned += len(text)
        spent += int(frame.filter(pl.col("document_id") == name)["token_count"].sum())
        assert spent <= earned


def broken(workspace: Workspace, shard: Shard, **changes: pl.Expr) -> None:
    job = workspace.instantiate_job(shard)
    (name,) = part_files(workspace.store, job.folder)
    workspace.store.write_frame(name, workspace.store.read_frame(name).with_columns(**changes))


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"answer": pl.col("answer").str.replace("small", "large")}, "'Cats are large hunters"),
        ({"answer": pl.col("answer") + " And much else that no document says, on and on." * 4}, "excerpt share"),
        ({"instruction": pl.lit("What about <fi>a thing</fi>?")}, "contains the markup <fi>"),
        ({"instruction": pl.lit("Why cats?")}, "does not fill the template"),
        ({"instruction": pl.lit("What about dogs?")}, "slots are recorded as"),
        ({"excerpts": pl.col("excerpts").list.concat("excerpts")}, "overlap in the answer"),
        ({"excerpt_share": pl.lit(0.9)}, "excerpt share is 1.0000, not 0.9000"),
        ({"excerpts": pl.col("excerpts").list.head(0), "excerpt_share": pl.lit(0.0)}, "excerpt share 0.0000 is below"),
    ],
)
def test_a_flawed_pair_is_never_published(changes: dict[str, pl.Expr], flaw: str) -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    broken(workspace, shards[0], **changes)
    with pytest.raises(ShardError, match=f"of shard library-0 must not be published.*{flaw}"):
        publish(workspace, shards, "v1")
    assert workspace.store.find("releases") == []


def test_a_verdict_without_its_pair_is_an_error() -> None:
    workspace, shards = found(memory(), TEXTS, WRITTEN)
    broken(workspace, shards[1], pair_id=pl.lit("other"))
    with pytest.raises(ShardError, match="shard library-1: expected one pair"):
        publish(workspace, shards)
