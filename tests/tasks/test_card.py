"""The data card: a header the Hub can read, all that went in, and what was not done."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.card import COLUMNS, cell, header, render_card
from tasks.figures import Figures
from tasks.funnel import StageTotals
from tasks.records import Counts, Source
from tasks.released import Release, SourceRows
from tasks.tables import RELEASE

COUNTS = Counts(rows_in=5, rows_out=3, rejected={"score_2": 1, "over_budget": 1})


def made(**changes: object) -> Release:
    """A small release."""
    values = {
        "name": "main-1a2b3c4d",
        "key": "1a2b3c4d5e6f7788",
        "corpus": "main",
        "counts": COUNTS,
        "rows": 3,
        "tokens": 120,
        "documents": 2,
        "document_tokens": 400,
        "files": (),
        "shards": 1,
        "missing": (),
        "funnel": (StageTotals(step="release", shards=1, counts=COUNTS, rows=3),),
        "sources": (SourceRows(kind="documents", source=Source(name="library", licence="CC-BY-4.0"), rows=2),),
        "bank": "b1",
        "models": {"judge": "judge-model@r9"},
        "prompts": {"judge": "0123abcd"},
        "settings": {"queries": {"languages": ["en"], "evaluation_files": []}, "match": {"threshold": 0.4}},
        "moderation": "off",
    }
    return Release.model_validate({**values, **changes})


def card(**changes: object) -> str:
    return render_card(made(**changes), Figures())


def front_matter(text: str) -> dict[str, object]:
    _, matter, _ = text.split("---\n", 2)
    return dict(yaml.safe_load(matter))


def test_the_header_is_what_the_hub_reads() -> None:
    matter = front_matter(card())
    assert matter["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}
    ]
    assert (matter["language"], matter["license"], matter["size_categories"]) == (["en"], "other", ["n<1K"])


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (10**6 - 1, "100K<n<1M"),
        (10**9, "1B<n<10B"),
        (10**12, "1B<n<10B"),
    ],
)
def test_the_size_is_a_category_of_the_hub(rows: int, size: str) -> None:
    assert f"- {size}\n" in header(made(rows=rows))


def test_licences_are_unknown_when_no_source_has_one() -> None:
    sources = (SourceRows(kind="documents", source=Source(name="somewhere"), rows=2),)
    assert front_matter(card(sources=sources))["license"] == "unknown"


def test_every_column_is_described() -> None:
    assert list(COLUMNS) == list(RELEASE)
    for name in RELEASE:
        assert f"| `{name}` |" in card()


def test_the_card_tells_sources_models_settings_and_reasons() -> None:
    text = card()
    for said in ("| library | documents | 2 | CC-BY-4.0 |", "judge-model@r9", "`0123abcd`", '"threshold": 0.4'):
        assert said in text
    assert "| release | rejected: over\\_budget | 1 |" in text


def test_moderation_that_was_off_is_said_plainly() -> None:
    assert "**Moderation was off.**" in card()
    assert "**Moderation was off.**" not in card(moderation="guard@r1")
    assert "guard@r1" in card(moderation="guard@r1")


def test_queries_that_were_compared_with_no_benchmark_are_said_plainly() -> None:
    assert "**Not decontaminated.**" in card()
    settings = {"queries": {"languages": ["en"], "evaluation_files": ["mmlu.jsonl"]}}
    assert "**Not decontaminated.**" not in card(settings=settings)


def test_missing_shards_are_named() -> None:
    assert "library-00003" in card(missing=("library-00003",))


def test_text_from_outside_cannot_break_a_table_or_become_html() -> None:
    name = "a | b\n| c | <script>alert(1)</script> [x](javascript:y)"
    sources = (SourceRows(kind="queries", source=Source(name=name), rows=1),)
    text = card(sources=sources)
    assert "<script>" not in text
    assert "\n| c |" not in text
    assert "[x]" not in text


@given(st.text())
def test_a_cell_is_one_line_without_free_separators(value: str) -> None:
    text = cell(value)
    assert len(text.splitlines()) <= 1
    assert "<" not in text
    assert text.count("|") == text.count("\\|")


def test_a_cell_survives_yaml_and_markdown_of_the_name() -> None:
    assert front_matter(card(name="x-1"))["pretty_name"] == "x-1"
