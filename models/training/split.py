"""Which labels are kept from training to measure it by."""

import hashlib

_DIGITS = 16


def held_out(id: str, share: float = 0.15, seed: int = 0) -> bool:
    """Whether the query or document `id` is held out; stays so when others are added."""
    drawn = hashlib.sha256(f"{seed}:{id}".encode()).hexdigest()[:_DIGITS]
    return int(drawn, 16) < share * 16.0**_DIGITS
