"""The Trainer of `transformers` with this project's loss and log; imported only when something is trained."""

import logging
import time
from typing import Any

import torch
import transformers

logger = logging.getLogger(__name__)


class PackTrainer(transformers.Trainer):
    """Trains on packs (`models.training.packing.collate`): one per forward pass, a weighted sum over its targets."""

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        """The pack's loss, a scalar. Logits are made where there is a target only."""
        inputs = dict(inputs)
        sources, targets, weights = (inputs.pop(name) for name in ("sources", "targets", "weights"))
        logits = model(**inputs, logits_to_keep=sources, use_cache=False).logits[0]
        losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        return (losses * weights).sum()


class Pace(transformers.TrainerCallback):
    """Logs loss and speed; tokens are those of forward passes, where what examples share counts once."""

    def __init__(self) -> None:
        self._started = 0.0
        self._tokens = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._started, self._tokens = time.monotonic(), state.num_input_tokens_seen

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One line per report of the Trainer."""
        if "loss" in (logs := kwargs["logs"]):
            speed = (state.num_input_tokens_seen - self._tokens) / (time.monotonic() - self._started)
            logger.info(
                "step %d of %d, loss %.3f, %.0f tokens/s", state.global_step, state.max_steps, logs["loss"], speed
            )
