"""Supervised fine-tuning of a causal language model with LoRA, loss on the completions only (paper 1.2, 1.6).

Computed in bfloat16 where the hardware has it. The same examples, settings and CPU give the same adapter. A killed
training goes on from its last checkpoint in the folder `training` beside the adapter and ends as an undisturbed one
would; the adapter itself is written last, whole or not at all. Weights of the base model are never written.

Not covered: more than one GPU, and sharing the adapter's file across machines of other numerics bit by bit.
"""

import copy
import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.adapters import WEIGHTS, find_adapter
from models.checkpoints import resolve
from models.errors import UsageError
from models.training.examples import Example
from models.training.packing import Encoded, Packs, collate, encode, pack
from models.training.settings import TrainSettings

logger = logging.getLogger(__name__)

LOG_STEPS = 5


@dataclass(frozen=True)
class Base:
    """The model that an adapter is for, and the adapter to go on from, named as in an engine's settings."""

    model: str
    revision: str = ""
    start: str = ""


def train(examples: Iterable[Example], base: Base, settings: TrainSettings, folder: Path) -> Path:
    """Train an adapter, or go on with it.

    Args:
        base: What the adapter is for.
        examples: What to learn; the same ones in the same order when a killed training goes on.
        settings: How.
        folder: Receives `training/`, which may be deleted afterwards, and `adapter/`.

    Returns:
        The folder of the adapter: `adapter_config.json` and `adapter_model.safetensors` in float16.

    Raises:
        UsageError: a package is missing, the model or the adapter to start from cannot be had, or there is nothing to
            learn from.
    """
    adapter = folder / "adapter"
    if (adapter / WEIGHTS).is_file():
        return adapter
    tokenizer, model = load(base)
    encoded = [encode(example, tokenizer) for example in examples]
    packs = pack(encoded, settings)
    if not packs.packs:
        raise UsageError(
            f"expected examples of at most {settings.pack_tokens} tokens, found {len(encoded)} and none so"
        )
    if packs.left_out:
        logger.warning("%d examples are longer than a pack, the first is %s", len(packs.left_out), packs.left_out[0])
    trainer = _trainer(_adapted(model, base, settings), packs, settings, folder / "training")
    trainer.train(resume_from_checkpoint=_last_checkpoint(folder / "training"))
    _save(trainer.model, base, settings.start_share, adapter)
    return adapter


def load(base: Base, adapter: Path | None = None) -> tuple[Any, Any]:
    """Tokenizer and model in float32, with an adapter if there is one.

    Raises:
        UsageError: a package is missing, or the model cannot be had.
    """
    import torch

    try:
        import peft
        import transformers
    except ImportError as error:
        raise UsageError(f"training needs {error.name}: install fineinstructions[train]") from error
    source = resolve(base.model, base.revision)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float32, attn_implementation="sdpa"
    )
    if adapter is not None:
        loaded = peft.PeftModel.from_pretrained(loaded, adapter)
    return tokenizer, loaded.eval()


def _adapted(model: Any, base: Base, settings: TrainSettings) -> Any:
    """The model with an adapter to train; one that is gone on from keeps its rank and its layers."""
    import peft
    import transformers

    transformers.set_seed(settings.seed)
    if base.start:
        return peft.PeftModel.from_pretrained(model, str(find_adapter(base.start)), is_trainable=True)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_linear_layers(model),
        layers_to_transform=list(range(settings.lowest_layer, model.config.num_hidden_layers)),
    )
    return peft.get_peft_model(model, config)


def _trainer(model: Any, packs: Packs, settings: TrainSettings, folder: Path) -> Any:
    import transformers

    from models.training.arguments import one_device
    from models.training.trainer import Pace, PackTrainer

    arguments = one_device(
        folder,
        half=True,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.packs_per_step,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        logging_steps=LOG_STEPS,
        seed=settings.seed,
        include_num_input_tokens_seen="all",
    )
    trainer = PackTrainer(
        model=model,
        args=arguments,
        train_dataset=packs.packs,
        data_collator=partial(_collate, scale=packs.scale),
        callbacks=[Pace()],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _linear_layers(model: Any) -> list[str]:
    """Last names of all linear layers but the output's."""
    import torch

    layers = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    return sorted(
        {name.rsplit(".", 1)[-1] for name in layers if model.get_submodule(name) is not model.get_output_embeddings()}
    )


def _collate(packs: Sequence[Sequence[Encoded]], scale: float) -> dict[str, Any]:
    (one,) = packs
    return collate(one, scale)


def _last_checkpoint(folder: Path) -> str | None:
    from transformers.trainer_utils import get_last_checkpoint

    last: str | None = get_last_checkpoint(str(folder)) if folder.is_dir() else None  # type: ignore[no-untyped-call]
    return last


def _save(model: Any, base: Base, start_share: float, adapter: Path) -> None:
    """Write the adapter whole or not at all, naming the base model as `base` does and no path of this machine."""
    import peft
    import torch
    from safetensors.torch import load_file, save_file

    config = copy.copy(model.peft_config["default"])
    config.base_model_name_or_path, config.revision = base.model, base.revision or None
    config.target_modules = sorted(config.target_modules)
    config.inference_mode = True
    weights = peft.get_peft_model_state_dict(model)
    if base.start and start_share:
        begun = load_file(find_adapter(base.start) / WEIGHTS)
        weights = {name: weight.cpu().lerp(begun[name].float(), start_share) for name, weight in weights.items()}
    halved = {name: weight.to(torch.float16).contiguous() for name, weight in sorted(weights.items())}
    with tempfile.TemporaryDirectory(prefix=".adapter-", dir=adapter.parent) as temporary:
        written = Path(temporary) / "adapter"
        config.save_pretrained(written)
        save_file(halved, written / WEIGHTS, metadata={"format": "pt"})
        written.rename(adapter)
