"""Direct queries to the engines, not through the proxies."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pintally.schemas.actions import Action
from pintally.schemas.cells import CELL_TABLES, PinMinuteRows
from pintally.schemas.errors import PintallyError
from pintally.schemas.outcomes import OUTCOMES
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.topics import group_members
from pintally.streams.operations.progress import Progress, lag_of, read_progress
from pintally.streams.settings import Settings
from pintally.tools.drill.patience import patiently
from pintally.tools.drill.producers import Sent
from pintally.tools.drill.truth import Cell, Counts
from pintally.tools.engines.ready import wait_until

QUERY_SECONDS = 60.0
LOOK_SECONDS = 0.3


class Place(Protocol):
    """What is asked."""

    @property
    def settings(self) -> Settings:
        """Straight to the engines."""

    @property
    def sink(self) -> ClickHouseSink:
        """The same ClickHouse."""


class Probe:
    """Asks as often as it takes; every answer is of the present."""

    def __init__(self, stack: Place) -> None:
        self._stack = stack

    def progress(self) -> list[Progress]:
        """Each source's position and log end. Raises PintallyError while an engine is away."""
        return read_progress(self._stack.settings.kafka, self._stack.settings.topics, self._stack.sink)

    def positions(self) -> dict[tuple[str, int], int]:
        """(topic, partition) -> the position in the ledger."""
        return {(each.source.topic, each.source.partition): each.position or 0 for each in self.progress()}

    def wait_counted(self, ends: Mapping[tuple[str, int], int], seconds: float) -> bool:
        """Wait until the ledger covers these offsets; whether it did."""
        return self._wait(lambda: _covers(self.positions(), ends), seconds)

    def wait_caught_up(self, seconds: float) -> bool:
        """Wait until the ledger covers all that the log holds now."""
        began, ends = time.monotonic(), dict[tuple[str, int], int]()

        def told() -> bool:
            ends.update({(each.source.topic, each.source.partition): each.log_end for each in self.progress()})
            return True

        return self._wait(told, seconds) and self.wait_counted(ends, seconds - (time.monotonic() - began))

    def members(self) -> int:
        """How many workers are in the group; 0 while Kafka cannot say."""
        try:
            return len(group_members(self._stack.settings.kafka))
        except PintallyError:
            return 0

    def lag(self) -> int:
        """Offsets that the log has and the ledger has not."""
        return lag_of(self.progress())

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query, asked again while another fault keeps ClickHouse away. Raises SinkError."""

        def ask() -> list[tuple[Any, ...]]:
            with Connection(self._stack.settings.clickhouse, QUERY_SECONDS) as connection:
                return connection.rows(sql, **parameters)

        return patiently(ask)

    def alter(self, sql: str) -> None:
        """A statement without an answer that can be repeated, as `rows`. Raises SinkError."""
        self.rows(sql)

    def counted(self, pin: int) -> int:
        """Counted events of one pin."""
        counts = " + ".join(action.column for action in Action)
        rows = self.rows(f"SELECT sum({counts}) FROM pin_engagement_1m WHERE pin_id = %(pin)s", pin=pin)
        return int(rows[0][0])

    def by_label(self, pin: int) -> dict[tuple[str, str], Counts]:
        """Counts of one pin by surface and platform."""
        rows = self.rows(
            "SELECT toString(surface), toString(platform), sum(events), sum(trusted) FROM pin_minutes FINAL"
            " WHERE pin_id = %(pin)s GROUP BY 1, 2",
            pin=pin,
        )
        return {(surface, platform): Counts(events, trusted) for surface, platform, events, trusted in rows}

    def slices_of(self, pin: int) -> int:
        """In how many slices one pin is counted."""
        sql = "SELECT uniqExact(source, slice_block, arrived_at) FROM pin_minutes WHERE pin_id = %(pin)s AND events > 0"
        return int(self.rows(sql, pin=pin)[0][0])

    def dead_letter_count(self, sent: Sent, outcome: str) -> int:
        """How many of the records sent lie in the table of dead letters with this outcome."""
        rows = self.rows(
            "SELECT count() FROM dead_letters FINAL"
            " WHERE topic = %(topic)s AND outcome = %(outcome)s AND (partition, offset) IN %(places)s",
            topic=sent.topic,
            outcome=outcome,
            places=tuple(sent.places),
        )
        return int(rows[0][0])

    def rows_beyond_ledger(self) -> int:
        """Sources with rows above the ledger's version: inserts that were applied and are not recorded."""
        rows = self.rows(
            "SELECT count() FROM (SELECT source, max(version) AS v FROM pin_minutes"
            " WHERE minute >= now() - INTERVAL 15 MINUTE GROUP BY source) AS cells"
            " LEFT JOIN (SELECT source, max(version) AS v FROM ingest_ledger GROUP BY source) AS ledger"
            " USING (source) WHERE cells.v > ledger.v"
        )
        return int(rows[0][0])

    def beside(self) -> dict[str, int]:
        """Of what is counted beside pin-minutes, the rows by table; windows whose users are sealed, and their flags."""
        tables = {kind.table: f"{kind.table} FINAL" for kind in CELL_TABLES if kind is not PinMinuteRows}
        tables["user_seals"] = "user_seals FINAL WHERE NOT is_open"
        tables["arm_day_seals"] = "arm_day_seals FINAL WHERE NOT is_open AND rows > 0"
        tables["flagged_users"] = "flagged_users WHERE seal IN (SELECT rows_seal FROM user_seals FINAL)"
        return {table: int(self.rows(f"SELECT count() FROM {rows}")[0][0]) for table, rows in tables.items()}

    def wait_beside(self, seconds: float) -> bool:
        """Wait until there is a row of each: hours and yesterday are sealed some time after they are counted."""
        return self._wait(lambda: all(self.beside().values()), seconds)

    def refused(self, code: int) -> int:
        """How often ClickHouse has refused a request with this code since its start."""
        return int(self.rows("SELECT sum(value) FROM system.errors WHERE code = %(code)s", code=code)[0][0])

    def counts(self) -> dict[Cell, Counts]:
        """Every count in ClickHouse, over all sources and slices."""
        rows = self.rows(
            "SELECT action, toUnixTimestamp(minute), pin_id, toString(surface), toString(platform),"
            " sum(events), sum(trusted) FROM pin_minutes FINAL GROUP BY 1, 2, 3, 4, 5 HAVING sum(events) > 0"
        )
        return {Cell(*key): Counts(events, trusted) for *key, events, trusted in rows}

    def cells(self) -> dict[Cell, int]:
        """Every count of events in ClickHouse."""
        return {cell: counts.events for cell, counts in self.counts().items()}

    def events(self) -> dict[str, int]:
        """Offsets by outcome, over all sources, as the ledger has them."""
        progress = patiently(self.progress)
        return {name: sum(getattr(each.outcomes, name) for each in progress) for name in OUTCOMES}

    def _wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        return wait_until(holds, seconds, excused=(PintallyError,), pause_s=LOOK_SECONDS)


def _covers(positions: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]) -> bool:
    return all(positions.get(place, 0) >= end for place, end in ends.items())
