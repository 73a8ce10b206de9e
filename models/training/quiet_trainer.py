"""The Trainer of `transformers` with a log in place of prints."""

import logging
from typing import Any

from transformers import PrinterCallback, Trainer

logger = logging.getLogger(__name__)


class QuietTrainer(Trainer):
    """Writes the mean loss of an epoch to the log."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.remove_callback(PrinterCallback)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Note the losses of an epoch."""
        super().log(logs, start_time)
        if "loss" in logs:
            logger.info("epoch %d of %d: loss %.4f", round(logs["epoch"]), self.args.num_train_epochs, logs["loss"])
