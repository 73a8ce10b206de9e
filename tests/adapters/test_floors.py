"""The bundled adapters load and are worth what their cards say, on sixty labels of our own that no training saw.

Floors lie a little below what was measured, since another processor rounds in another way.
"""

from pathlib import Path

import pytest

from models.embedder import open_embedder
from models.engines import close_engine, open_engine
from models.settings import EmbedderSettings, EngineSettings
from models.training.split import held_out
from tasks.distill.evaluate import genericizer_figures, instantiator_figures, judge_figures
from tasks.distill.evaluate_matching import evaluate_matching
from tasks.distill.labels import read_genericizer_labels, read_judge_labels, read_pair_labels
from tasks.distill.matching_labels import read_matching_labels
from tasks.distill.passages import evaluate_passages, quotations
from tasks.settings import load_profile

LABELS = Path(__file__).parent / "held_out"
PROFILE = load_profile("tiny")
PAIRS = [str(LABELS / "instantiator.jsonl"), str(LABELS / "retrieved.jsonl")]


def test_no_training_saw_these_labels() -> None:
    """The split is a hash of the ids, so it can be told without the training."""
    queries = read_genericizer_labels(str(LABELS / "genericizer.jsonl"))["query_id"]
    documents = [id for url in PAIRS for id in read_pair_labels(url)["document_id"]]
    share, seed = PROFILE.distill.held_out, PROFILE.distill.seed
    assert all(held_out(id, share, seed) for id in [*queries, *documents])


@pytest.mark.vllm
class TestHelpers:
    """One engine for all three."""

    def test_templates_are_valid_and_replace_what_the_labels_replace(self) -> None:
        labels = read_genericizer_labels(str(LABELS / "genericizer.jsonl"))
        figures = genericizer_figures(labels, PROFILE.genericizer, _engine(), open_embedder(_stock()))
        assert figures.valid >= 0.9
        assert figures.slot_f1 >= 0.65
        assert figures.description_cosine >= 0.47

    def test_answers_quote_what_the_labels_quote(self) -> None:
        # Lower bounds than the profile's, so that more are measured.
        bounds = ("instantiator.passages.min_relevance=0.5", "instantiator.passages.min_slot_fit=-1")
        settings = load_profile("tiny", bounds).instantiator
        figures = instantiator_figures(read_pair_labels(PAIRS[0]), settings, _engine())
        assert figures.valid >= 0.7
        assert figures.excerpt_f1_answered >= 0.3

    def test_judgements_agree_with_the_labels(self) -> None:
        labels, _ = read_judge_labels(PAIRS[0])
        figures = judge_figures(labels, PROFILE.judge, _engine())
        assert figures.valid >= 0.95
        assert figures.gate_accuracy >= 0.65
        close_engine()


def test_compatible_templates_are_nearer_than_others() -> None:
    labels, rejected = read_matching_labels(PAIRS)
    assert rejected.is_empty()
    tuned = evaluate_matching(open_embedder(PROFILE.embedder), labels, (), {})
    stock = evaluate_matching(open_embedder(_stock()), labels, (), {})
    assert min(tuned.aucs) >= 0.6
    assert sum(tuned.aucs) > sum(stock.aucs)


def test_passages_are_nearer_to_what_labels_quote() -> None:
    settings = PROFILE.instantiator.retrieval
    assert settings is not None
    labels = [label for url in PAIRS for label in quotations(read_pair_labels(url))]
    stock = evaluate_passages(labels, settings.model_copy(update={"embedder": _stock()}))
    tuned = evaluate_passages(labels, settings)
    assert tuned.labels > 20
    assert tuned.excerpt_f1 > stock.excerpt_f1 + 0.02


def _engine():
    settings: EngineSettings = PROFILE.engines[PROFILE.genericizer.engine]
    return open_engine(settings)


def _stock() -> EmbedderSettings:
    return PROFILE.embedder.model_copy(update={"adapter": ""})
