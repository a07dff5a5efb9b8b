"""Connections to Kafka and ClickHouse that stay open from look to look; opened again after an error. Blocking."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Generic, TypeVar

from kafka.admin import KafkaAdminClient

from pintally.schemas.shards import ALONE, Place
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.shards import refuse_other_place
from pintally.streams.kafka.admin import open_admin
from pintally.streams.settings import KafkaSettings

TIMEOUT_SECONDS = 10.0  # without an answer of ClickHouse

C = TypeVar("C")
T = TypeVar("T")


class Kept(Generic[C]):
    """A connection that is opened when it is first needed. Not to be shared between threads."""

    def __init__(self, opened: Callable[[ExitStack], C]) -> None:
        self._opened = opened
        self._stack = ExitStack()
        self._connection: C | None = None

    def ask(self, question: Callable[[C], T]) -> T:
        """Returns what the question returns. After an error, which is raised, the next question connects anew."""
        with ExitStack() as kept:
            kept.push(self._stack)  # so that the error goes through what opened the connection, which translates it
            if self._connection is None:
                self._connection = self._opened(self._stack)
            try:
                answer = question(self._connection)
            except BaseException:
                self._connection = None
                raise
            self._stack = kept.pop_all()
        return answer

    def close(self) -> None:
        """Close what is open."""
        self._connection = None
        self._stack.close()


def kept_kafka(kafka: KafkaSettings) -> Kept[KafkaAdminClient]:
    """An admin client of Kafka."""
    return Kept(lambda stack: stack.enter_context(open_admin(kafka)))


def kept_clickhouse(address: ClickHouseAddress, place: Place = ALONE) -> Kept[Connection]:
    """A connection to ClickHouse that only reads, and sees all rows."""

    def opened(stack: ExitStack) -> Connection:
        connection = stack.enter_context(Connection(address, TIMEOUT_SECONDS, only_reads=True))
        refuse_hidden_rows(connection)
        if place.shards > 1:
            refuse_other_place(connection, place)
        return connection

    return Kept(opened)
