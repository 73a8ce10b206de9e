"""A LoRA adapter on all linear layers of a sentence-transformers encoder: begun, trained, written.

The adapter is written when training is complete; a failure before that leaves nothing. A seed decides everything that
is random. Not covered: what is learned; the losses bring that.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from models.checkpoints import resolve
from models.errors import UsageError
from models.settings import EmbedderSettings, Settings

if TYPE_CHECKING:
    from torch import nn

NEEDED = ("accelerate", "peft")


class EncoderSettings(Settings):
    """How an encoder is fine-tuned."""

    learning_rate: float = Field(5e-4, gt=0)
    warmup_share: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    rank: int = Field(32, ge=1)
    lora_alpha: int = Field(64, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    seed: int = Field(0, ge=0)


def open_encoder(embedder: EmbedderSettings, settings: EncoderSettings) -> Any:
    """The `SentenceTransformer` of an embedder's base model with a new adapter.

    Raises:
        UsageError: the base cannot be had, or a package that training needs is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"training needs {', '.join(missing)}; install fineinstructions[train]")

    import torch
    from peft import LoraConfig, TaskType
    from sentence_transformers import SentenceTransformer
    from transformers import set_seed

    set_seed(settings.seed)
    folder = resolve(embedder.model, embedder.revision)
    model: Any = SentenceTransformer(str(folder), local_files_only=True, model_kwargs={"dtype": torch.float32})
    model.max_seq_length = embedder.window_tokens
    model.add_adapter(
        LoraConfig(
            task_type=TaskType.FEATURE_EXTRACTION,
            r=settings.rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.dropout,
            target_modules="all-linear",
        )
    )
    return model


def fit_encoder(
    loss: "nn.Module",
    items: Sequence[Any],
    collate: Callable[[Sequence[Any]], dict[str, Any]],
    settings: EncoderSettings,
    *,
    batch: int,
    epochs: int,
    half: bool = False,
) -> list[float]:
    """Train what a loss holds; the mean loss of every epoch.

    Args:
        loss: Its `forward` gives `{"loss": ...}`.
        items: What batches are made of.
        collate: A batch of items to the arguments of `forward`.
        settings: How.
        batch: Items of a batch.
        epochs: None at all is fine.
        half: Compute in bfloat16 where the hardware has it, about twice as fast.
    """
    from models.training.arguments import one_device
    from models.training.quiet_trainer import QuietTrainer

    if not epochs:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        arguments = one_device(
            Path(scratch),
            half=half,
            num_train_epochs=epochs,
            per_device_train_batch_size=batch,
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_share,
            weight_decay=settings.weight_decay,
            seed=settings.seed,
            logging_strategy="epoch",
            save_strategy="no",
        )
        trainer = QuietTrainer(model=loss, args=arguments, train_dataset=items, data_collator=collate)
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def save_encoder(model: Any, folder: Path, base: str) -> None:
    """Write the adapter in peft's format, as float32 safetensors; `base` is the name it gives its base model."""
    transformer = model.transformers_model
    for config in transformer.peft_config.values():
        config.base_model_name_or_path = base
    transformer.save_pretrained(folder)
