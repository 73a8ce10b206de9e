"""Which floating point numbers this machine's processor is fast with."""

import os
from typing import Literal


def cpu_dtype() -> Literal["bfloat16", "float32"]:
    """bfloat16 where the processor has it; x86 without its instructions emulates it, at a ninth of the speed.

    Other processors are believed to have it.
    """
    import torch

    emulated = os.uname().machine == "x86_64" and not torch.cpu._is_avx512_bf16_supported()
    return "float32" if emulated else "bfloat16"
