"""Seals the users of hours and days whose counts are sealed, by the steps of C23. Times in seconds since 1970.

Readers see the numbers of a window that was published last, while it is open and until it is sealed again. Windows
whose members may be deleted with age stay as they are.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import flagged_rows, user_rows
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR
from pintally.sinks.clickhouse.sealing.rollup_rows import SPILL
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.sealing.session import sealing_connection
from pintally.sinks.clickhouse.sealing.steps import Steps, seal_window
from pintally.sinks.clickhouse.sealing.user_seals import (
    Flagged,
    Sums,
    UserSeal,
    closed,
    counts_seal,
    due_days,
    due_hours,
    members_from,
    publish,
    read_seal,
    seals_of_day,
)
from pintally.sinks.clickhouse.stale_rows import delete_superseded, in_hours

FLAGGED_ABOVE: Final = 20  # events of one user in an hour
WRONG: Final[Sums] = (-1, -1, -1)  # the numbers are not those of the sets


@dataclass(frozen=True, slots=True)
class UsersSealed:
    """The windows whose users one call of `seal_users` sealed."""

    hours: tuple[int, ...] = ()
    days: tuple[int, ...] = ()


def seal_users(
    address: ClickHouseAddress, least: int, above: int = FLAGGED_ABOVE, timeout_seconds: float = 300
) -> UsersSealed:
    """Seal the users of each sealed hour and day that has members. Groups of fewer than `least` are not shown.

    Users with more than `above` events in an hour are flagged (C37); with 0 nobody is. Idempotent, and safe
    to run twice at once. Raises SinkUnavailable or SinkError; run it again then.
    """
    with sealing_connection(address, timeout_seconds) as connection:
        first, kept_from = members_from(connection)
        if first is None:
            return UsersSealed()
        hours = [_Hour(connection, "hour", start, HOUR, least, above) for start in due_hours(connection, first)]
        sealed = tuple(each.start for each in hours if seal_window(connection, each).seal)
        days = [
            _Day(connection, "day", due.start, DAY, least, 0, due.seals, due.newest)
            for due in due_days(connection, kept_from)
        ]
        return UsersSealed(sealed, tuple(each.start for each in days if seal_window(connection, each).seal))


def open_unequal_users(connection: Connection) -> list[str]:
    """Open the windows whose numbers, sets and members do not fit, to be sealed again. Returns their names."""
    first, kept_from = members_from(connection)
    opened = []
    for resolution, start, least, above in [] if first is None else closed(connection, kept_from):
        hour = _Hour(connection, resolution, start, HOUR, least, above)
        seals = () if resolution == "hour" else seals_of_day(connection, start)
        window = hour if resolution == "hour" else _Day(connection, resolution, start, DAY, least, 0, seals, 0)
        row = window.read_row()
        if window.inserted(row.rows_seal) != row.sums or window.expected() != row.sums or not window.tells_flags(row):
            window.reopen()
            opened.append(f"users of the {resolution} {datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%MZ}")
    return opened


@dataclass(frozen=True)
class _Window(Steps[UserSeal, Sums]):
    """What the steps of an hour and of a day have in common."""

    resolution: str
    start: int
    seconds: int
    least: int
    above: int  # of an hour: users with more events are flagged

    @property
    def made_of(self) -> tuple[str, ...]:
        return "sealed", "user_seals", "pin_members", "pin_user_states", "ingest_starts"

    def _given(self, number: int, seals: tuple[int, ...]) -> dict[str, object]:
        window = {"start": self.start, "end": self.start + self.seconds, "least": self.least, "above": self.above}
        return {**window, "number": number, "seals": list(seals) or [0]}

    def read_row(self) -> UserSeal:
        return read_seal(self.connection, self.resolution, self.start)

    def is_sealed(self, row: UserSeal) -> bool:
        """Also while its counts are open: it is sealed after them."""
        counts = counts_seal(self.connection, self.resolution, self.start)
        return counts is None or (not row.is_open and row.seal > counts)

    def tells_flags(self, row: UserSeal) -> bool:
        """Whether the row says what it must of flagged users."""
        return row.flagged == self._flagged(row.rows_seal)

    def reopen(self) -> None:
        row = replace(self.read_row(), seal=allocate_seal_id(self.connection), is_open=True)
        publish(self.connection, self.resolution, self.start, row)

    def _flagged(self, number: int) -> Flagged:
        """What readers may know of the users that are flagged with that number; nothing of a day."""
        if self.resolution == "day":
            return Flagged()
        users, events = self.connection.one(flagged_rows.NUMBERS, start=self.start, number=number)
        return Flagged.shown(self.above, users, events, self.least)

    def _keys(self) -> int:
        """Keys of the hash of its members. All versions of a row have one, so FINAL is needed where there are several:
        a repair may have taken the rows of one back.
        """
        given = {"start": self.start, "end": self.start + self.seconds}
        (keys,) = self.connection.one(user_rows.KEYS.format(final=""), **given)
        return int(keys if keys <= 1 else self.connection.one(user_rows.KEYS.format(final="FINAL"), **given)[0])

    def _insert_users(self, given: dict[str, object]) -> None:
        insert = user_rows.insert_users(user_rows.TABLES[self.resolution])
        self.connection.execute(insert, given, settings=SPILL)

    def _are_numbers_right(self, given: dict[str, object]) -> bool:
        """Whether the inserted numbers are those of the sets."""
        found = self.connection.one(user_rows.users_sums(user_rows.TABLES[self.resolution]), **given)
        return bool(found == self.connection.execute(user_rows.COUNTED_SUMS, given, settings=SPILL)[0])


@dataclass(frozen=True)
class _Hour(_Window):
    """An hour: flagged users and sets from members, numbers from sets."""

    def insert(self, number: int) -> None:
        delete_superseded(self.connection, in_hours(self.start, self.start + self.seconds))
        given = self._given(number, (number,))
        self.connection.execute(flagged_rows.INSERT, given, settings=SPILL)
        self.connection.execute(user_rows.INSERT_SETS, given, settings=SPILL)
        self._insert_users(given)

    def inserted(self, number: int) -> Sums:
        given = self._given(number, (number,))
        if not self._are_numbers_right(given):
            return WRONG
        sets, check_sum = self.connection.one(user_rows.SETS, **given)
        (flagged,) = self.connection.one(flagged_rows.INSERTED, **given)
        return sets, check_sum, flagged

    def expected(self) -> Sums:
        """The flags are of the members that the check sum is of, so what compares it later compares them too."""
        sets, check_sum = self.connection.one(user_rows.MEMBERS, start=self.start)
        [(flagged,)] = self.connection.execute(flagged_rows.EXPECTED, self._given(0, ()), settings=SPILL)
        return sets, check_sum, flagged

    def publish(self, number: int, before: UserSeal, sums: Sums, *, changed: bool) -> None:  # noqa: ARG002
        row = UserSeal(number, number, False, 1, self._keys(), self.least, sums, self._flagged(number))
        publish(self.connection, "hour", self.start, row)

    def is_unchanged(self, sums: Sums) -> bool:
        return bool(self.connection.one(user_rows.MEMBERS, start=self.start) == sums[:2])


@dataclass(frozen=True)
class _Day(_Window):
    """A day: numbers from the sets of its hours, which were sealed before; whoever changes one seals it again."""

    seals: tuple[int, ...]
    newest: int  # the highest seal of its hours

    def is_sealed(self, row: UserSeal) -> bool:
        counts = counts_seal(self.connection, self.resolution, self.start)
        return counts is None or (not row.is_open and row.seal > max(counts, self.newest))

    def insert(self, number: int) -> None:
        self._insert_users(self._given(number, self.seals))

    def inserted(self, number: int) -> Sums:
        given = self._given(number, self.seals)
        if not self._are_numbers_right(given):
            return WRONG
        (flagged,) = self.connection.one(flagged_rows.INSERTED_OF, **given)
        sets, check_sum = self.connection.one(user_rows.SETS_OF, **given)
        return sets, check_sum, flagged

    def expected(self) -> Sums:
        return self.connection.one(user_rows.HOURS, **self._given(0, self.seals))

    def publish(self, number: int, before: UserSeal, sums: Sums, *, changed: bool) -> None:  # noqa: ARG002
        row = UserSeal(number, number, False, len(self.seals), self._keys(), self.least, sums)
        publish(self.connection, "day", self.start, row)

    def is_unchanged(self, sums: Sums) -> bool:  # noqa: ARG002
        return True
