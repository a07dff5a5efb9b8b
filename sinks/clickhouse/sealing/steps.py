"""The steps by which a window is sealed (C23, C27): number, barrier, rows, sums, publication, second look.

After a crash between two steps readers see no change, and a sealer that slept never wins over a later one: the row of a
window with the highest seal number holds, and a number that is allocated later is higher.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, Self, TypeVar

from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.every_replica import ReplicasDiffer
from pintally.sinks.clickhouse.sealing.everywhere import is_everywhere
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id

ATTEMPTS = 5


class Published(Protocol):
    """The row of a window with the highest seal number."""

    @property
    def seal(self) -> int:
        """Its number; 0 if there is no row."""

    @property
    def sums(self) -> object:
        """The sums of the rows that it published last."""

    @property
    def was_sealed(self) -> bool:
        """Whether the window was ever sealed."""


Row = TypeVar("Row", bound=Published)
Sums = TypeVar("Sums")


@dataclass(frozen=True)
class Steps(ABC, Generic[Row, Sums]):
    """What is particular to one window."""

    connection: Connection

    @property
    @abstractmethod
    def made_of(self) -> Sequence[str]:
        """The tables whose rows must be here before the window is sealed: of what it is made, and of its seals."""

    def through(self, connection: Connection) -> Self:
        """The same steps on another connection."""
        return replace(self, connection=connection)

    @abstractmethod
    def read_row(self) -> Row:
        """The row that holds now."""

    @abstractmethod
    def is_sealed(self, row: Row) -> bool:
        """Whether that row still holds, so that nothing is left to do."""

    @abstractmethod
    def insert(self, number: int) -> None:
        """Insert the rows of the window with a number that no reader knows yet. Superseded cells are deleted before."""

    @abstractmethod
    def inserted(self, number: int) -> Sums:
        """The sums of the rows with that number. Of features it inserts the tops of these rows too."""

    def there(self, number: int) -> Sums:
        """The same, and inserts nothing."""
        return self.inserted(number)

    @abstractmethod
    def expected(self) -> Sums:
        """The sums of what they were made of, read now."""

    @abstractmethod
    def publish(self, number: int, before: Row, sums: Sums, *, changed: bool) -> None:
        """From here on readers take the rows with that number, unless a higher one is there."""

    @abstractmethod
    def is_unchanged(self, sums: Sums) -> bool:
        """Second look: whether what the rows were made of still has these sums."""

    @abstractmethod
    def reopen(self) -> None:
        """Have the window sealed again."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one window. `seal` is 0 if its cells kept changing or a replica lags: readers see what they saw."""

    seal: int = 0
    changed: bool = False  # its sums differ from those that were sealed before


def seal_window(connection: Connection, steps: Steps[Row, Sums]) -> Result:
    """Seal one window, unless its cells keep changing or a replica lags.

    1. Allocate a number, before anything is read. With replicas, wait then for the rows that others have.
    2. Read the row of the window; another sealer may have sealed it meanwhile.
    3. Insert the rows with that number, on all replicas; no reader sees them yet.
    4. Compare them with what they were made of, which is read again; with replicas on each of them.
    5. Publish, on all replicas.
    6. Look again. This finds cells that came between 4 and 5; a writer after 5 sees what is sealed, and opens it.
    """
    for _ in range(ATTEMPTS):
        number = allocate_seal_id(connection)
        sync(connection, *steps.made_of)
        before = steps.read_row()
        if steps.is_sealed(before):
            return Result(before.seal)
        if before.seal > number:
            continue
        steps.insert(number)
        sums = steps.inserted(number)
        try:
            if sums != steps.expected() or not is_everywhere(connection, steps, number, sums):
                continue
        except ReplicasDiffer:
            break
        changed = before.was_sealed and before.sums != sums
        steps.publish(number, before, sums, changed=changed)
        sync(connection, *steps.made_of)
        if steps.is_unchanged(sums):
            return Result(number, changed)
        steps.reopen()
    return Result()
