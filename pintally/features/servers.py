"""The servers of ClickHouse that are asked, with a connection to each that was needed."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.shards import Place
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.shards import refuse_other_place
from pintally.sinks.clickhouse.users import BEHIND_VIEWS

Answer = TypeVar("Answer")


class Servers:
    """One server, or several that share the pins, shard 0 first. Threads that ask at once each have a connection.

    A process that was forked connects anew: on one socket each would read answers to questions of the other.
    """

    def __init__(self, addresses: Sequence[ClickHouseAddress]) -> None:
        self._addresses = tuple(addresses)
        self._connections: dict[int, Connection] = {}
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self._addresses)

    def ask(self, number: int, question: Callable[[Connection], Answer]) -> Answer:
        """The answer to one question. A connection that was kept may be over: then it is asked again on a new one."""
        self._leave_to_parent()
        kept = number in self._connections
        try:
            return self._ask_once(number, question)
        except SinkUnavailable:
            if not kept:
                raise
        return self._ask_once(number, question)

    def close(self) -> None:
        """Close all connections; the next question opens another."""
        self._leave_to_parent()
        while self._connections:
            self._connections.popitem()[1].close()

    def _leave_to_parent(self) -> None:
        """What was open when this process was forked: to close it would end the parent's connection too."""
        if self._process != os.getpid():
            self._connections, self._process = {}, os.getpid()

    def _ask_once(self, number: int, question: Callable[[Connection], Answer]) -> Answer:
        connection = self._connections.pop(number, None)  # an error, also within an answer, leaves none behind
        is_new = connection is None
        connection = connection or Connection(self._addresses[number], only_reads=True)
        try:
            refuse_hidden_rows(connection, BEHIND_VIEWS)
            if is_new and len(self) > 1:
                refuse_other_place(connection, Place(number, len(self)))
            answer = question(connection)
        except BaseException:
            connection.close()
            raise
        if self._connections.setdefault(number, connection) is not connection:  # another thread has put one back
            connection.close()
        return answer
