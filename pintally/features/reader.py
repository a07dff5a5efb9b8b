"""Asks ClickHouse, on one connection, and answers with frames."""

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from pintally.features.entities import moment, pins_of
from pintally.features.errors import WrongTime
from pintally.features.frames import Kind, framed
from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.users import BEHIND_VIEWS
from pintally.sinks.reads.counts import read_counts

Resolution = Literal["1m", "1h", "1d"]
Answer = TypeVar("Answer")


class FeatureReader:
    """Keeps one connection for many questions. Not to be shared between threads.

    `clickhouse` is where to ask and as whom; what the variables PINTALLY_CLICKHOUSE_* say if it is left out. Every
    method raises SinkUnavailable if ClickHouse does not answer, and SinkError if it refuses.
    """

    def __init__(self, clickhouse: ClickHouseAddress | None = None) -> None:
        self._address = clickhouse or _from_settings()
        self._connection: Connection | None = None

    def counts(
        self,
        pin_ids: Any = None,
        *,
        start: datetime,
        end: datetime,
        resolution: Resolution = "1h",
        frame: Kind | None = None,
    ) -> Any:
        """Counts of the windows that start in [start, end), as `pintally.features.counts`."""
        pins, kind = (None, None) if pin_ids is None else pins_of(pin_ids)
        found = self._ask(lambda connection: read_counts(connection, resolution, *_window(start, end), pins))
        return framed(found, frame or kind or "pandas")

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """The answer to one question. A connection that was kept may be over: then it is asked again on a new one."""
        kept = self._connection is not None
        try:
            return self._ask_once(question)
        except SinkUnavailable:
            if not kept:
                raise
        return self._ask_once(question)

    def _ask_once(self, question: Callable[[Connection], Answer]) -> Answer:
        connection = self._connection or Connection(self._address, only_reads=True)
        self._connection = None  # an error, also in the middle of an answer, leaves none behind
        try:
            refuse_hidden_rows(connection, BEHIND_VIEWS)
            answer = question(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return answer


def _window(start: datetime, end: datetime) -> tuple[int, int]:
    first, last = moment(start, "start"), moment(end, "end")
    if first >= last:
        raise WrongTime(f"start {start.isoformat()} is not before end {end.isoformat()}", "Windows are [start, end).")
    return first, last


def _from_settings() -> ClickHouseAddress:
    from pintally.streams.settings import load_settings

    return load_settings().clickhouse
