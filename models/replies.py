"""What genericizer and instantiator replies have in common: one JSON value, complete and of the right shape."""

import json
import re
from typing import Literal

from models.engine import Completion
from models.refusals import Refusal

ReplyReason = Literal["finish_length", "not_json"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_strings(completion: Completion, *keys: str) -> tuple[str, ...] | Refusal | None:
    """The strings under `keys` in the reply's JSON object (other keys are ignored), or None for JSON `null`.

    Refused as `finish_length` when the reply was cut off, else as `not_json` when it is anything else.
    """
    if completion.finish_reason == "length":
        return Refusal("finish_length", f"cut off after {completion.output_tokens} tokens", malformed=True)
    try:
        value = json.loads(completion.text)
    except (ValueError, RecursionError) as error:
        return _not_json(f"{error}: {completion.text[:200]!r}")
    if value is None:
        return None
    if not isinstance(value, dict):
        return _not_json(f"expected an object, found {completion.text[:200]!r}")
    found = tuple(value.get(key) for key in keys)
    strings = tuple(item for item in found if isinstance(item, str) and not _SURROGATE.search(item))
    if len(strings) < len(keys):
        return _not_json(f"expected text under {', '.join(keys)}, found {completion.text[:200]!r}")
    return strings


def _not_json(detail: str) -> Refusal:
    return Refusal("not_json", detail, malformed=True)
