"""LoRA adapters: where their files are, and who they are. Those that this project carries lie in this folder.

An adapter is named in one of three forms, tried in this order:

    bundled:NAME     the folder NAME beside this file
    a local folder   anything that is a folder on this machine, or is written like one (`/`, `./`, `../`, `~`)
    a hub name       `owner/name`, or `owner/name@revision`, on the Hugging Face Hub

Every failure is a `UsageError` that says what to do; an adapter without safetensors is refused.
"""

from pathlib import Path

from models import hub
from models.digests import digest_folder
from models.errors import UsageError

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

BUNDLED = "bundled:"


def find_adapter(adapter: str) -> Path:
    """The adapter's folder, downloaded first if need be.

    Raises:
        UsageError: the adapter is unknown, out of reach, or not whole.
    """
    folder = _folder(adapter)
    if folder is None:
        folder = hub.download(*_hub_name(adapter), marker=CONFIG)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"expected an adapter in {folder}, but it has no {' and no '.join(missing)}; check its name")
    return folder


def identify_adapter(adapter: str) -> str:
    """`name@digest` of the adapter, or `name@commit` of one on the hub, of which only the configuration is downloaded.

    Raises:
        UsageError: as `find_adapter`.
    """
    folder = _folder(adapter)
    if folder is None:
        return hub.identify(*_hub_name(adapter), marker=CONFIG)
    name = adapter if adapter.startswith(BUNDLED) else folder.name
    return f"{name}@{digest_folder(find_adapter(adapter))}"


def _folder(adapter: str) -> Path | None:
    """The folder of an adapter on this machine, None for one on the hub."""
    if adapter.startswith(BUNDLED):
        here = Path(__file__).parent
        known = sorted(path.parent.name for path in here.glob(f"*/{CONFIG}"))
        name = adapter.removeprefix(BUNDLED)
        if name not in known:
            raise UsageError(f"no adapter {adapter!r}; adapters of this project: {', '.join(known)}")
        return here / name
    if adapter.startswith(("/", "./", "../", "~")) or Path(adapter).is_dir():
        return Path(adapter).expanduser().resolve()
    return None


def _hub_name(adapter: str) -> tuple[str, str]:
    name, _, revision = adapter.partition("@")
    return name, revision
