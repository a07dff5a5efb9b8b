"""Seals the users of arms of sealed days, by the steps of C23. Times in seconds since 1970.

Readers see numbers alone. Windows whose members may be deleted with age stay as they are.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import arm_day_rows
from pintally.sinks.clickhouse.sealing.arm_day_seals import ArmDaySeal, Sums, is_sealed, kept_days, publish, read_seal
from pintally.sinks.clickhouse.sealing.reopen import DAY
from pintally.sinks.clickhouse.sealing.rollup_rows import SPILL
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.sealing.session import sealing_connection
from pintally.sinks.clickhouse.sealing.steps import Steps, seal_window
from pintally.sinks.clickhouse.stale_rows import delete_superseded, in_hours


def seal_arm_users(address: ClickHouseAddress, least: int, timeout_seconds: float = 300) -> tuple[int, ...]:
    """Seal the users of arms of each sealed day that has members; returns the days.

    Groups of fewer than `least` are not shown. Idempotent, and safe to run twice at once. Raises SinkUnavailable or
    SinkError; run it again then.
    """
    with sealing_connection(address, timeout_seconds) as connection:
        days = [_ArmDay(connection, start, days, least) for start, days in kept_days(connection)]
        due = [day for day in days if not day.is_sealed(day.read_row())]
        return tuple(day.start for day in due if seal_window(connection, day).seal)


def open_unequal_arms(connection: Connection) -> list[str]:
    """Open the days whose numbers are not those of their members, to be sealed again. Returns their names."""
    opened = []
    for start, kept in kept_days(connection):
        row = read_seal(connection, start)
        if row.is_open or row.days > kept:
            continue
        day = _ArmDay(connection, start, row.days, row.least)
        if day.inserted(row.rows_seal) != row.sums or day.expected() != row.sums:
            day.reopen()
            opened.append(f"users of arms of the day {datetime.fromtimestamp(start, UTC):%Y-%m-%d}")
    return opened


@dataclass(frozen=True)
class _ArmDay(Steps[ArmDaySeal, Sums]):
    """A day, and the windows that end with it."""

    start: int
    days: int  # of the longest window
    least: int

    @property
    def made_of(self) -> tuple[str, ...]:
        return "sealed", "arm_day_seals", "arm_members", "experiment_cells", "ingest_starts"

    @property
    def first(self) -> int:
        """The start of the longest window."""
        return self.start - (self.days - 1) * DAY

    def read_row(self) -> ArmDaySeal:
        return read_seal(self.connection, self.start)

    def is_sealed(self, row: ArmDaySeal) -> bool:
        first = self.first if row.is_open else max(self.first, self.start - (row.days - 1) * DAY)
        return is_sealed(self.connection, row, first, self.start + DAY)

    def insert(self, number: int) -> None:
        delete_superseded(self.connection, in_hours(self.first, self.start + DAY))
        self.connection.execute(arm_day_rows.INSERT, self._given(number), settings=SPILL)

    def inserted(self, number: int) -> Sums:
        return (*self.connection.one(arm_day_rows.INSERTED, **self._given(number)), self._members())

    def expected(self) -> Sums:
        """The numbers of the members. These did not change meanwhile if their sum is that before and after it."""
        [(rows, check_sum)] = self.connection.execute(arm_day_rows.EXPECTED, self._given(0), settings=SPILL)
        return rows, check_sum, self._members()

    def publish(self, number: int, before: ArmDaySeal, sums: Sums, *, changed: bool) -> None:  # noqa: ARG002
        publish(self.connection, self.start, ArmDaySeal(number, number, False, self.days, self.least, sums))

    def is_unchanged(self, sums: Sums) -> bool:
        return self._members() == sums[2]

    def reopen(self) -> None:
        row = replace(self.read_row(), seal=allocate_seal_id(self.connection), is_open=True)
        publish(self.connection, self.start, row)

    def _members(self) -> int:
        return int(self.connection.one(arm_day_rows.MEMBERS, **self._given(0))[0])

    def _given(self, number: int) -> dict[str, object]:
        window = {"first": self.first, "start": self.start, "end": self.start + DAY}
        return {**window, "days": self.days, "least": self.least, "number": number}
