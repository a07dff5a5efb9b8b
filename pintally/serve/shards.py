"""Questions to the server of ClickHouse, or to all that share the pins: errors say which one. Blocking."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pintally.schemas.errors import PintallyError
from pintally.schemas.shards import Place
from pintally.serve.engines import kept_clickhouse
from pintally.serve.findings import InClickHouse
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.operating import Sealed
from pintally.streams.counting.shards import furthest_behind

T = TypeVar("T")


class KeptShards:
    """A connection to each, kept open. Not to be shared between threads, but for `asked`."""

    def __init__(self, servers: Sequence[ClickHouseAddress]) -> None:
        self._servers = servers
        self._kept = [kept_clickhouse(each, Place(number, len(servers))) for number, each in enumerate(servers)]
        self.asked = ""  # which one is, where there are several

    def ask(self, number: int, question: Callable[[Connection], T]) -> T:
        """The answer of one. Raises SinkUnavailable, SinkError and Refusal, and says of several which one it is."""
        if len(self._kept) == 1:
            return self._kept[number].ask(question)
        place = Place(number, len(self._kept))
        self.asked = f"{place} at {self._servers[number]}"
        try:
            return self._kept[number].ask(question)
        except PintallyError as error:
            raise type(error)(f"{error.what} ({place})", error.remedy) from error

    def ask_each(self, question: Callable[[int, Connection], T]) -> list[T]:
        """The answers of all, shard 0 first; the question gets the number. Raises as `ask`."""

        def of(number: int) -> Callable[[Connection], T]:
            return lambda connection: question(number, connection)

        return [self.ask(number, of(number)) for number in range(len(self._kept))]

    def close(self) -> None:
        """Close the connections."""
        for kept in self._kept:
            kept.close()


def joined(each: Sequence[InClickHouse]) -> InClickHouse:
    """What all shards have: of each source the ledger that is furthest behind, and what every shard has sealed."""
    if len(each) == 1:
        return each[0]
    return InClickHouse(
        {source: furthest_behind([found.ledgers[source] for found in each]) for source in each[0].ledgers},
        Sealed(
            min(found.sealed.until for found in each),
            max(found.sealed.open_hours for found in each),
            min(found.sealed.newest_cut for found in each),
        ),
    )
