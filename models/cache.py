"""Checkpoints that are made on this machine once and kept: unpacked ones, and merged ones.

`build_once` is atomic and safe for several processes at once: the folder is built beside its place under a lock and
renamed when it is whole, so that a killed process leaves nothing that a later one would read.

Not covered: old versions in the cache folder are not removed.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from models.errors import UsageError

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "FINEINSTRUCTIONS_CACHE"


def cache_folder() -> Path:
    """Where these checkpoints lie: `$FINEINSTRUCTIONS_CACHE`, else the user's cache folder of this system."""
    import platformdirs

    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("fineinstructions")) / "checkpoints"


def build_once(name: str, build: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, made by `build` if it is not there yet.

    Args:
        name: Says everything that the content depends on, for a folder that is there is never made again.
        build: Makes the folder that it is given, which does not exist yet.

    Raises:
        UsageError: the cache folder cannot be written, or `build` says so.
    """
    import filelock

    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{name}.lock")):
            if folder.is_dir():
                return folder
            # Only a killed process leaves one, for the lock is held here.
            for stale in folder.parent.glob(f"{name}.tmp-*"):
                shutil.rmtree(stale, ignore_errors=True)
            logger.info("making %s, once", folder)
            with tempfile.TemporaryDirectory(prefix=f"{name}.tmp-", dir=folder.parent) as temporary:
                build(Path(temporary) / "checkpoint")
                (Path(temporary) / "checkpoint").rename(folder)
    except OSError as error:
        raise UsageError(
            f"cannot make {folder}: {error}; make the folder writable or point {CACHE_VARIABLE} to one that is"
        ) from error
    return folder
