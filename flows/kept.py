"""What `up` was given, kept in its folder: told less the next time, it does not fall back to the bundled sample.

Only its owner may read the file, for the URL of a database may hold a password.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.errors import UsageError
from models.settings import Settings

NAME = "up.json"


class Given(Settings):
    """Options of `up`; None for those that it was not given."""

    store: str | None = None
    queries: str | None = None
    documents: str | None = None
    profile: str | None = None
    cron: str | None = None
    database: str | None = None
    alerts: str | None = None
    port: int | None = None
    planners: int | None = None


def recall(folder: Path) -> dict[str, Any]:
    """The options that were kept in a folder, by name; none where nothing was.

    Raises:
        UsageError: the file is something else.
    """
    path = folder / NAME
    try:
        return Given.model_validate_json(path.read_bytes()).model_dump(exclude_none=True)
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise UsageError(
            f"{path}: expected the options that `up` was given, found something else ({error.errors()[0]['msg']}); "
            "delete the file and give `up` all options again"
        ) from error


def keep(folder: Path, given: Given) -> None:
    """Keep options for the next time, in place of those kept before."""
    hidden = folder / f".{NAME}"
    hidden.touch(0o600)
    hidden.write_text(given.model_dump_json(indent=1, exclude_none=True), "utf-8")
    hidden.replace(folder / NAME)
