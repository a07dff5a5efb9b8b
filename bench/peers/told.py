"""What a peer is told by the benchmark, and the two moments it tells back."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """The environment of a peer's process."""

    kafka: str
    topic: str
    partitions: int
    events: int  # in the topic, all partitions together
    group: str  # new for each run
    clickhouse: str  # http://host:port/
    user: str
    password: str
    table: str  # database.table with pin, minute, events; the highest count of a cell wins
    marks: str  # file


def told() -> Told:
    """Read it. Raises KeyError if this was not started by the benchmark."""
    values = {name: os.environ[f"BENCH_{name.upper()}"] for name in Told.__slots__}
    return Told(**{**values, "partitions": int(values["partitions"]), "events": int(values["events"])})  # type: ignore[arg-type]


class Progress:
    """Counts the records handled, and marks the first and the last: the clocks are read then, from outside."""

    def __init__(self, to: Told) -> None:
        self.handled = 0
        self._to = to

    def add(self, records: int = 1) -> None:
        """So many records more are handled, or are about to be if they are the first."""
        if not self.handled:
            self._mark("first")
        self.handled += records
        if self.handled == self._to.events:
            self._mark("last")

    def _mark(self, moment: str) -> None:
        with open(self._to.marks, "a") as marks:
            marks.write(f"{moment}\n")
