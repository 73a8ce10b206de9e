"""What the Trainer of `transformers` is told by every training here; imported only when something is trained."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from models.precision import cpu_dtype


def one_device(folder: Path, *, half: bool, **settings: Any) -> TrainingArguments:
    """Arguments for a GPU if there is one, the first of several since no batch here can be split, or else for the CPU.

    Args:
        folder: Receives checkpoints.
        half: Compute in bfloat16 what may be, where that is no emulation. The weights stay in float32.
        settings: Further ones of `TrainingArguments`.
    """
    on_gpu = torch.cuda.is_available()
    native = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else cpu_dtype() == "bfloat16"
    arguments = TrainingArguments(
        output_dir=str(folder),
        bf16=half and native,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    # Read first: the devices are counted then, and would be counted anew otherwise.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
