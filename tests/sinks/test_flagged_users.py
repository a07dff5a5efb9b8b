"""Users that did much in an hour over all pins are flagged when it is sealed, and their events told apart (C37)."""

from collections.abc import Iterable

import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sealing import flagged_rows
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users
from pintally.streams.settings import Settings
from tests.sinks.sealing import TODAY, before_each_statement, read
from tests.sinks.test_seal_users import Seen, members, write

PINS = range(70, 76)
BOT, PERSON, OTHER = 1, 2, 3
ABOVE = 5
# Hour, user's rows by any seal that counts: events and pins.
FLAGGED = """
SELECT toHour(hour), events, pins FROM flagged_users
WHERE seal IN (SELECT rows_seal FROM user_seals FINAL WHERE resolution = 'hour') ORDER BY ALL
"""
HOURS = """
SELECT toHour(window_start), users, events, above, least FROM flagged_users_1h WHERE users > 0 OR users IS NULL
ORDER BY window_start
"""
HOURLY = "SELECT toHour(window_start), pin_id, users, unflagged_saves, unflagged_clicks FROM pin_users_1h ORDER BY ALL"
BY_SURFACE = "SELECT pin_id, surface, unflagged_saves FROM pin_surface_users_1h ORDER BY ALL"
DAILY = "SELECT pin_id, users, unflagged_saves, unflagged_clicks FROM pin_users_1d ORDER BY ALL"


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    return stack.clickhouse


def sealed(address: ClickHouseAddress, above: int = ABOVE, least: int = 1) -> None:
    seal(address, TODAY)
    seal_users(address, least, above)


def saves(hour: int, user: int, pins: Iterable[int], surface: str = "home") -> list[Seen]:
    return [(hour, 1, pin, surface, user) for pin in pins]


def test_who_does_more_than_the_limit_over_many_pins_is_flagged_and_the_trusted_events_of_others_remain(
    address: ClickHouseAddress,
) -> None:
    write(address, members([*saves(22, BOT, PINS), *saves(22, PERSON, PINS[:5])]))
    write(address, members(saves(22, OTHER, PINS[:1]), events=5, trusted=3))
    write(address, members([(23, 2, PINS[0], "search", BOT)], source=2))
    sealed(address)
    assert read(address, FLAGGED) == [(22, 6, 6)], "five events are not more than five"
    assert read(address, HOURS) == [(22, 1, 6, ABOVE, 1)]
    assert read(address, HOURLY) == [
        (22, 70, 3, 4, 0), *((22, pin, 2, 1, 0) for pin in PINS[1:5]), (22, 75, 1, 0, 0), (23, 70, 1, 0, 1)
    ]  # fmt: skip
    assert read(address, DAILY)[0] == (70, 3, 4, 1), "a user is flagged for an hour, not for the day"
    assert read(address, BY_SURFACE)[0] == (70, "home", 4)


def test_events_of_all_actions_surfaces_and_slices_count_together_and_those_of_two_hours_do_not(
    address: ClickHouseAddress,
) -> None:
    write(address, members(saves(22, BOT, PINS[:1]), events=2))
    write(address, members([(22, 2, PINS[0], "search", BOT)], source=2, events=2))
    write(address, members([(22, 1, PINS[0], "home", BOT)], source=3, events=2))
    write(address, members(saves(22, PERSON, PINS[:1]), events=5))
    write(address, members(saves(23, PERSON, PINS[:1]), events=5))
    sealed(address)
    assert read(address, FLAGGED) == [(22, 6, 1)]


def test_an_hour_that_is_opened_has_its_flags_made_again(address: ClickHouseAddress) -> None:
    write(address, members([*saves(22, BOT, PINS), *saves(22, PERSON, PINS[:5])]))
    sealed(address)
    write(address, members(saves(22, PERSON, PINS[5:]), source=2))
    write(address, members(saves(22, BOT, PINS[:1]), version=11, events=0))
    assert read(address, FLAGGED) == [(22, 6, 6)], "until it is sealed again"
    sealed(address)
    assert read(address, FLAGGED) == [(22, 6, 6)]
    assert read(address, HOURLY)[-1] == (22, 75, 2, 1, 0), "now the other one is"
    sealed(address)
    assert read(address, "SELECT uniqExact(seal) FROM flagged_users") == [(2,)], "and nothing is due"


def test_each_hour_keeps_the_limit_that_it_was_sealed_with_and_zero_flags_nobody(address: ClickHouseAddress) -> None:
    write(address, members(saves(22, BOT, PINS)))
    sealed(address, above=0)
    assert read(address, FLAGGED) == read(address, HOURS) == []
    assert read(address, "SELECT sum(unflagged_saves) FROM pin_users_1h") == [(6,)]
    write(address, members(saves(23, BOT, PINS)))
    sealed(address)
    assert read(address, FLAGGED) == [(23, 6, 6)]
    assert read(address, "SELECT sum(unflagged_saves) FROM pin_users_1d") == [(6,)]


def test_few_flagged_users_are_not_told_and_pins_of_few_users_have_no_count(address: ClickHouseAddress) -> None:
    write(address, members([*saves(22, BOT, PINS), *saves(22, PERSON, PINS[:1]), *saves(23, BOT, PINS)]))
    write(address, members(saves(23, PERSON, PINS)))
    sealed(address, least=2)
    assert read(address, HOURS) == [(22, None, None, ABOVE, 2), (23, 2, 12, ABOVE, 2)]
    assert read(address, HOURLY)[0] == (22, 70, 2, 1, 0)
    assert [row[:2] for row in read(address, HOURLY)] == [(22, 70), *((23, pin) for pin in PINS)]


WITHOUT = "SELECT toUInt64(0)"


@pytest.mark.parametrize("is_compared", [True, False])
def test_flags_that_are_not_those_of_the_members_are_not_published(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch, is_compared: bool
) -> None:
    """A member comes between the flags and the sets. Without the comparison, numbers of two moments are shown."""
    write(address, members(saves(22, BOT, PINS[:5])))
    seal(address, TODAY)
    if not is_compared:
        monkeypatch.setattr(flagged_rows, "EXPECTED", WITHOUT)
        monkeypatch.setattr(flagged_rows, "INSERTED", WITHOUT)
    late = [members(saves(22, BOT, PINS[5:]), source=2)]

    def another(sql: str) -> None:
        if "INSERT INTO pin_user_states" in sql and late:
            write(address, late.pop())

    with before_each_statement(monkeypatch, another):
        seal_users(address, 1, ABOVE)
    assert not late
    shown = read(address, "SELECT sum(unflagged_saves) FROM pin_users_1h")
    assert shown == ([(0,)] if is_compared else [(6,)])
    sealed(address)
    assert read(address, "SELECT count(), sum(unflagged_saves) FROM pin_users_1h") == [(6, 0)]
