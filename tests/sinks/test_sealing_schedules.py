"""Sealing by schedules of several actors, and what each of its protections is for."""

from collections.abc import Callable, Sequence
from itertools import count
from types import ModuleType

import pytest

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import arm_days, recheck, rollup, seal
from pintally.sinks.clickhouse.sealing.rollup import RolledUp, Row, Window
from pintally.sinks.clickhouse.sealing.rollup_rows import TABLES
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.stale_rows import delete_superseded, in_hours
from pintally.streams.settings import Settings
from tests.sinks.sealing_schedule import first_failure

SCHEDULES = range(3)
_count = count()


def test_whoever_seals_writes_opens_and_dies_at_once_all_resolutions_agree(stack: Settings) -> None:
    assert first_failure(SCHEDULES, stack.clickhouse) is None


def roll_up_late(connection: Connection, window: Window, hour_seals: Sequence[int] = ()) -> RolledUp:
    """`roll_up` with its number taken after the minutes were read."""
    while True:
        delete_superseded(connection, in_hours(window.start, window.end))
        unnumbered = 10**9 + next(_count)
        rollup.insert(connection, window, unnumbered, hour_seals)
        sums = rollup.rolled_up(connection, window, unnumbered)
        number = allocate_seal_id(connection)
        for table in TABLES[window.resolution]:
            rows = f"(SELECT * FROM {table} WHERE seal = {unnumbered})"
            connection.execute(f"INSERT INTO {table} SELECT * REPLACE ({number} AS seal) FROM {rows}")
        if rollup.rolled_up(connection, window, number) == sums:
            rollup.publish(connection, [window], Row(number, False, False, sums))
            return RolledUp(window, number)


PROTECTIONS: dict[str, list[tuple[ModuleType, str, Callable[..., object]]]] = {
    "number_taken_after_reading": [(seal, "roll_up", roll_up_late)],
    "no_second_look": [(rollup, "is_unchanged", lambda *_: True), (recheck, "is_unchanged", lambda *_: True)],
    "labels_not_looked_for": [(rollup, "is_plain", lambda *_: True)],
    "users_of_arms_not_due_again": [(arm_days, "is_sealed", lambda _, row, *__: not row.is_open)],
    "sums_unchecked": [(rollup, "rolled_up", lambda connection, window, _: rollup.minutes_of(connection, window))],
}
# The first seed that is red.
RED = {
    "number_taken_after_reading": 13,
    "no_second_look": 4,
    "labels_not_looked_for": 1,
    "users_of_arms_not_due_again": 22,
    "sums_unchecked": 1,
}


@pytest.mark.parametrize("name", PROTECTIONS)
def test_without_a_protection_some_schedule_goes_wrong(
    name: str, stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for module, function, ours in PROTECTIONS[name]:
            patch.setattr(module, function, ours)
        assert first_failure(range(RED[name], RED[name] + 1), stack.clickhouse) is not None
