"""Step 4 of sealing with replicas (C38): each of them has the rows of a window, and all that they are made of.

Otherwise a reader of a replica that lags would see an hour that is more than its minutes, and takes it for final.
"""

from time import monotonic, sleep
from typing import Final, Protocol, Self, TypeVar

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.every_replica import EveryReplica, ReplicasDiffer

WAIT_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.2  # between two looks

Sums = TypeVar("Sums", covariant=True)


class Seen(Protocol[Sums]):
    """The steps of sealing that look."""

    def through(self, connection: Connection) -> Self:
        """The same on another connection."""

    def there(self, number: int) -> Sums:
        """The sums of the rows with that number."""

    def expected(self) -> Sums:
        """The sums of what they were made of."""


def is_everywhere(connection: Connection, seen: Seen[Sums], number: int, sums: object) -> bool:
    """Whether all replicas agree on these sums, of the rows and of what they are made of. Looks for some seconds.

    True without a look on one server. Raises ReplicasDiffer if one of them still lacks rows then: to seal the window
    anew would not help it.
    """
    if not connection.has_replicas:
        return True
    asked = seen.through(EveryReplica(connection))
    deadline = monotonic() + WAIT_SECONDS
    while True:
        try:
            return asked.there(number) == sums == asked.expected()
        except ReplicasDiffer:
            if monotonic() > deadline:
                raise
        sleep(LOOK_SECONDS)
