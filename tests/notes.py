"""A listener that writes down what it hears of progress."""

from tasks.records import Stage


class Notes:
    """What was heard, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def begin(self, stage: Stage, shards: int, rows: int) -> None:
        """Note it."""
        self.heard.append(("begin", stage, shards, rows))

    def advance(self, stage: Stage, rows: int) -> None:
        """Note it."""
        self.heard.append(("advance", stage, rows))

    def fail(self, stage: Stage, name: str, error: BaseException) -> None:
        """Note it."""
        self.heard.append(("fail", stage, name, str(error)))

    def end(self, stage: Stage) -> None:
        """Note it."""
        self.heard.append(("end", stage))
