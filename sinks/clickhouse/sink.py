"""ClickHouse as the sink."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pintally.schemas.rows import ReplacedRow
from pintally.schemas.shards import ALONE, Place
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.cells import Cells
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dead_letters import DeadLetters
from pintally.sinks.clickhouse.engines import refuse_other_engines
from pintally.sinks.clickhouse.ledger import Ledger, known_sources
from pintally.sinks.clickhouse.maintenance import Slices
from pintally.sinks.clickhouse.replaced import Replacements, read_replaced
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.sealing.reopening import Reopening
from pintally.sinks.clickhouse.server import Clock
from pintally.sinks.clickhouse.shards import refuse_other_place
from pintally.sinks.clickhouse.stale_rows import StaleRows


class ClickHouseSession(Ledger, Cells, DeadLetters, Slices, StaleRows, Replacements, Reopening, Clock):
    """One connection. After any error every call raises SinkUnavailable."""

    def parts(self) -> "tuple[ClickHouseSession]":
        """Itself."""
        return (self,)


class ClickHouseSink:
    """Sessions on one ClickHouse server. Safe to share between threads; a session is not."""

    def __init__(
        self,
        address: ClickHouseAddress,
        timeout_seconds: float = 30,
        *,
        only_reads: bool = False,
        place: Place = ALONE,
    ) -> None:
        """`timeout_seconds` bounds each wait for an answer, not a whole insert. `only_reads`: a user who may only read
        will do, and every write is an error. `place`: which shard it is, where several servers share the pins."""
        self.address = address
        self.timeout_seconds = timeout_seconds
        self.only_reads = only_reads
        self.place = place

    def __repr__(self) -> str:
        return f"ClickHouseSink({self.address})"

    @contextmanager
    def session(self) -> Iterator[ClickHouseSession]:
        """Connect. Raises SinkUnavailable if nobody answers, SinkError if the login or the database is refused, and
        Refusal if it is another shard.
        """
        with Connection(self.address, self.timeout_seconds, only_reads=self.only_reads) as connection:
            refuse_hidden_rows(connection)
            if self.address.cluster and not self.only_reads:
                refuse_other_engines(connection)
            if self.place.shards > 1:
                refuse_other_place(connection, self.place)
            session = ClickHouseSession(connection)
            session.shards = self.place.shards
            yield session

    def known_sources(self) -> Iterable[Source]:
        with Connection(self.address, self.timeout_seconds, only_reads=True) as connection:
            return known_sources(connection)

    def replaced(self) -> Sequence[ReplacedRow]:
        with Connection(self.address, self.timeout_seconds, only_reads=True) as connection:
            return read_replaced(connection)
