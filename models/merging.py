"""LoRA adapters: merged into their base model once, since decoding with them apart is several times slower on a CPU.

The merged checkpoint has the base's tokenizer, chat template and other files, and safetensors in the base's data type.
It is made by `models.cache.build_once`: whole or not at all. An adapter for a base of another shape is refused, also
where only some of its layers do not fit; weights that are not safetensors are never read.

Not covered: an adapter that was made for another base of the same shape, one with an own vocabulary, and those of other
methods than LoRA.
"""

import json
import shutil
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from models.adapters import CONFIG, WEIGHTS
from models.cache import build_once
from models.digests import digest
from models.errors import UsageError

RECIPE = 1
"""Goes up whenever the same base and adapter are merged into something else."""

BASE_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf", "*.index.json", "*.pt", "*.pth", "*.h5", "*.onnx", "*.msgpack")


def merge_once(identity: str, base: Path, adapter: Path) -> Path:
    """The checkpoint folder of a base with an adapter, merged into the cache if need be (seconds, once).

    Args:
        identity: Names both, see `models.checkpoints`.
        base: Checkpoint folder of the base.
        adapter: Folder of the adapter.

    Raises:
        UsageError: the adapter does not fit the base, or the cache folder cannot be written.
    """
    return build_once(f"merged-{digest(RECIPE, identity, length=32)}", partial(merge, base, adapter))


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the checkpoint of `base` with `adapter` merged into it to `folder`.

    Raises:
        UsageError: the adapter does not fit the base, or its files are not whole.
    """
    place = _transformer_folder(base)
    model = _load(base / place)
    dtype = model.dtype
    # A small change vanishes when it is added in half precision.
    model = _with_adapter(model.float(), base, adapter).merge_and_unload()

    def not_copied(directory: str, names: list[str]) -> set[str]:
        weights = BASE_WEIGHTS if Path(directory) == base / place else ()
        return {name for name in names if name.startswith(".") or any(fnmatch(name, glob) for glob in weights)}

    shutil.copytree(base, folder, ignore=not_copied)
    model.to(dtype).save_pretrained(folder / place)


def _transformer_folder(base: Path) -> str:
    """Where in a sentence-transformers folder the transformer lies; empty for any other checkpoint."""
    listing = base / "modules.json"
    return str(json.loads(listing.read_text("utf-8"))[0]["path"]) if listing.is_file() else ""


def _load(folder: Path) -> Any:
    from transformers import AutoModel, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    config = json.loads((folder / "config.json").read_text("utf-8"))
    causal = any(name.endswith("ForCausalLM") for name in config.get("architectures", ()))
    try:
        return (AutoModelForCausalLM if causal else AutoModel).from_pretrained(folder, dtype="auto")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot load the adapter's base model from {folder}: {error}; restore its files") from error


def _with_adapter(model: Any, base: Path, adapter: Path) -> Any:
    """A peft model; every tensor of the adapter has its place and every place its tensor."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    made_for = json.loads((adapter / CONFIG).read_text("utf-8")).get("base_model_name_or_path")
    misfit = f"the adapter {adapter.name} does not fit the model in {base}; it was made for {made_for}"
    advice = "name its own base as `model`, or another adapter"
    try:
        with safe_open(adapter / WEIGHTS, framework="pt") as file:
            names = file.keys()
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        adapted = PeftModel.from_pretrained(model, str(adapter), torch_device="cpu")
    except SafetensorError as error:
        raise UsageError(f"cannot read {adapter / WEIGHTS}: {error}; restore the file") from error
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"{misfit}: {error}; {advice}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(adapted).items()}
    if found != expected:
        wrong = sorted(found.items() ^ expected.items())
        raise UsageError(f"{misfit}: {len(wrong)} tensors differ, as {wrong[0][0]} {wrong[0][1]}; {advice}")
    return adapted
