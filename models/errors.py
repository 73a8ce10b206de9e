"""The errors of this project.

    FineInstructionsError
    ├── UsageError       what the user gave cannot work: settings, URLs, a missing model (exit code 2)
    ├── TransientError   the same work may succeed if tried again: connection, timeout, a dead engine
    └── ShardError       this shard cannot be processed and trying again unchanged is no use

A bad row is none of these: it becomes a counted reason in the rejected table.
Every message says what was expected, what was found, where, and what to do.
"""


class FineInstructionsError(Exception):
    """Base of all errors raised on purpose by this project."""


class UsageError(FineInstructionsError):
    """What the user gave cannot work; the message says how to mend it."""


class TransientError(FineInstructionsError):
    """The same work may succeed if it is tried again."""


class ShardError(FineInstructionsError):
    """The shard cannot be processed; trying again unchanged gives the same result."""
