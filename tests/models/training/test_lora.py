"""Training: a real run on a few rows, one that was killed, and what of an example counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.adapters import WEIGHTS
from models.engine import Message
from models.errors import UsageError
from models.training.examples import Example
from models.training.lora import Base, load, train
from models.training.packing import IGNORED, collate, encode, pack
from models.training.settings import TrainSettings
from tests.models.training.small_model import small_model

DOCUMENT = "Document:\nRye bread keeps for a week."
EXAMPLES = [
    Example(f"e{number}", f"g{number % 3}", (Message("user", f"{DOCUMENT} {number % 3}\n\nTemplate: {number}"),), text)
    for number, text in enumerate(['{"a": 1}', "null", '{"b": 2}', "null", '{"c": 3}', "null"] * 2)
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(small_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def settings() -> TrainSettings:
    return TrainSettings(
        rank=4,
        alpha=8,
        learning_rate=2e-2,
        epochs=15,
        pack_tokens=128,
        packs_per_step=1,
        checkpoint_steps=10,
    )


def weights(adapter: Path) -> dict[str, list[float]]:
    from safetensors.torch import load_file

    return {name: weight.flatten().tolist() for name, weight in load_file(adapter / WEIGHTS).items()}


def loss(adapter: Path | None, base: Base) -> float:
    import torch

    tokenizer, model = load(base, adapter)
    packs = pack([encode(example, tokenizer) for example in EXAMPLES], TrainSettings(pack_tokens=4096))
    inputs = collate(packs.packs[0], packs.scale)
    sources, targets, share = (inputs.pop(name) for name in ("sources", "targets", "weights"))
    with torch.inference_mode():
        logits = model(**inputs, logits_to_keep=sources).logits[0]
    return float((torch.nn.functional.cross_entropy(logits, targets, reduction="none") * share).sum())


def test_training_lowers_the_loss_and_leaves_an_adapter_that_loads(
    base: Base, settings: TrainSettings, tmp_path: Path
) -> None:
    adapter = train(EXAMPLES, base, settings, tmp_path)
    assert sorted(path.name for path in adapter.iterdir()) == ["adapter_config.json", WEIGHTS]
    assert loss(adapter, base) < loss(None, base) - 1


def test_training_goes_on_from_an_adapter(base: Base, settings: TrainSettings, tmp_path: Path) -> None:
    """With hardly any steps of its own it is where the first one ended, and it leaves that one as it is."""
    first = train(EXAMPLES, base, settings, tmp_path / "first")
    before = weights(first)
    little = settings.model_copy(update={"epochs": 1, "learning_rate": 1e-6, "rank": 2})
    second = train(EXAMPLES, replace(base, start=str(first)), little, tmp_path / "second")
    assert weights(second).keys() == before.keys()
    assert weights(second) != before == weights(first)
    assert loss(second, base) == pytest.approx(loss(first, base), abs=0.01)
    half = settings.model_copy(update={"epochs": 3, "start_share": 0.5})
    whole = train(EXAMPLES, replace(base, start=str(first)), half.model_copy(update={"start_share": 0}), tmp_path / "3")
    mixed = weights(train(EXAMPLES, replace(base, start=str(first)), half, tmp_path / "mixed"))
    for name, values in weights(whole).items():
        means = [(value + begun) / 2 for value, begun in zip(values, before[name], strict=True)]
        assert mixed[name] == pytest.approx(means, abs=1e-3)


def test_a_killed_training_ends_as_an_undisturbed_one(base: Base, settings: TrainSettings, tmp_path: Path) -> None:
    whole = train(EXAMPLES, base, settings, tmp_path / "whole")
    train(EXAMPLES, base, settings, tmp_path / "killed")
    killed = tmp_path / "killed"
    (killed / "adapter" / WEIGHTS).unlink()
    (killed / "adapter").rename(tmp_path / "gone")
    checkpoints = sorted((killed / "training").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    for path in checkpoints[1:]:
        path.rename(tmp_path / path.name)
    assert len(checkpoints) == 2
    assert weights(train(EXAMPLES, base, settings, killed)) == weights(whole)


def test_only_completions_count_and_decisions_count_more(base: Base) -> None:
    tokenizer, _ = load(base)
    example = replace(EXAMPLES[1], decisive=(0, 4), weights=(1.0, 5.0))
    encoded = encode(example, tokenizer)
    assert tokenizer.decode(encoded.tokens).endswith(f"<|im_start|>assistant\nnull{tokenizer.eos_token}")
    assert encoded.weights == (5.0, 1.0)
    packed = collate([encoded], scale=0.5)
    counted = packed["targets"] != IGNORED
    assert packed["targets"][counted].tolist() == list(encoded.tokens[-2:])
    assert packed["weights"][counted].tolist() == [2.5, 0.5]
    assert packed["sources"][counted].tolist() == [len(encoded.tokens) - 3, len(encoded.tokens) - 2]


def test_no_pack_is_too_big_and_an_example_that_fits_none_is_named(base: Base) -> None:
    tokenizer, _ = load(base)
    long = replace(EXAMPLES[0], id="long", completion="word " * 200)
    packs = pack([encode(example, tokenizer) for example in (*EXAMPLES, long)], TrainSettings(pack_tokens=100))
    assert packs.left_out == ("long",)
    assert sorted(one.id for held in packs.packs for one in held) == sorted(example.id for example in EXAMPLES)
    assert max(len(collate(held, 1.0)["input_ids"][0]) for held in packs.packs) <= 128


def test_nothing_to_learn_from_is_said(base: Base, settings: TrainSettings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected examples of at most 128 tokens"):
        train([], base, settings, tmp_path)
