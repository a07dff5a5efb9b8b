"""Users of pins are sealed after the counts of their window, exact for small groups, and hidden below a number."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pintally.schemas.cells import PinMemberRows
from pintally.schemas.rows import version_of
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.retention import keep_members
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import UsersSealed, seal_users
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.clickhouse.users import users
from pintally.streams.settings import Settings
from pintally.tools import user_hash
from tests.counting.test_user_hash import OTHER, PUBLISHED, sip_hash
from tests.sinks.sealing import HOUR, TODAY, YESTERDAY, before_each_statement, crash_before_each_statement, read
from tests.support.cells import cells

PIN, OTHER_PIN = 70, 71
Seen = tuple[int, int, int, str, int]  # hour of yesterday, action, pin, surface, user
HOURLY = "SELECT toHour(window_start), pin_id, users, saves_users, clicks_users, keys FROM pin_users_1h ORDER BY ALL"
DAILY = "SELECT pin_id, users, saves_users, hours, keys FROM pin_users_1d ORDER BY ALL"
BY_SURFACE = "SELECT toHour(window_start), pin_id, surface, users FROM pin_surface_users_1h ORDER BY ALL"


def members(
    seen: Iterable[Seen], version: int = 10, key: int = 1, source: int = 1, events: int = 1, trusted: int | None = None
) -> PinMemberRows:
    """A row a user; the hash of a user spreads its number over 64 bits, as a real one does. Trusted: all."""
    rows = [
        (source, 0, YESTERDAY, version_of(0, version), action, YESTERDAY + hour * HOUR, pin, surface, key,
         user * 0x9E3779B97F4A7C15 % 2**64, events, events if trusted is None else trusted)
        for hour, action, pin, surface, user in seen
    ]  # fmt: skip
    return PinMemberRows.of(zip(*rows, strict=True) if rows else [()] * len(PinMemberRows.columns()))


def write(address: ClickHouseAddress, rows: PinMemberRows) -> None:
    """Also a minute of each hour, as a worker would."""
    hours = sorted(set(rows.hour.tolist()))
    minutes = cells(*((1, 0, YESTERDAY, 1, hour, 1, 1, int(rows.version[0])) for hour in hours))
    with ClickHouseSink(address).session() as session:
        session.write_cells(minutes, rows)


def sealed(address: ClickHouseAddress, least: int = 1) -> UsersSealed:
    seal(address, TODAY)
    return seal_users(address, least)


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    return stack.clickhouse


def test_a_log_with_known_users_gives_their_numbers_however_the_rows_came(address: ClickHouseAddress) -> None:
    saves = [(5, 1, PIN, "home", user) for user in range(60)]
    clicks = [(5, 2, PIN, "search", user) for user in range(50, 90)]
    later = [(6, 1, PIN, "home", user) for user in range(55, 100)]
    for rows in (members(saves), members(saves[:9], 11, events=2), members(clicks), members(later)):
        write(address, rows)
    write(address, members(saves[:30], source=2))  # the same users in another source
    assert sealed(address) == UsersSealed((*(YESTERDAY + hour * HOUR for hour in range(5, 24)),), (YESTERDAY,))
    assert read(address, HOURLY) == [(5, PIN, 90, 60, 40, 1), (6, PIN, 45, 45, 0, 1)]
    assert read(address, BY_SURFACE) == [(5, PIN, "home", 60), (5, PIN, "search", 40), (6, PIN, "home", 45)]
    assert read(address, DAILY) == [(PIN, 100, 100, 19, 1)]
    assert sealed(address) == UsersSealed(), "nothing is due any more"


def test_users_of_an_hour_that_is_not_sealed_are_not_shown(address: ClickHouseAddress) -> None:
    write(address, members([(5, 1, PIN, "home", 1)]))
    seal(address, YESTERDAY + 5 * HOUR)
    assert seal_users(address, 1) == UsersSealed()
    assert read(address, HOURLY) == read(address, DAILY) == []


def test_an_hour_that_is_opened_shows_what_it_had_until_it_is_sealed_again(address: ClickHouseAddress) -> None:
    write(address, members([(5, 1, PIN, "home", 1)]))
    sealed(address)
    write(address, members([(5, 1, PIN, "home", 2)], source=2))
    assert seal_users(address, 1) == UsersSealed(), "its counts are open"
    assert read(address, HOURLY) == [(5, PIN, 1, 1, 0, 1)]
    assert sealed(address) == UsersSealed((YESTERDAY + 5 * HOUR,), (YESTERDAY,))
    assert read(address, HOURLY) == [(5, PIN, 2, 2, 0, 1)]
    assert read(address, DAILY) == [(PIN, 2, 2, 19, 1)]


def test_members_that_are_repaired_alone_have_their_hour_sealed_again(address: ClickHouseAddress) -> None:
    """Void rows too: the minutes of the hour were right, and are not written again."""
    write(address, members([(5, 1, PIN, "home", user) for user in (1, 2)]))
    sealed(address)
    with ClickHouseSink(address).session() as session:
        session.write_cells(members([(5, 1, PIN, "home", 1)], version=11, events=0))
    assert sealed(address) == UsersSealed((YESTERDAY + 5 * HOUR,), (YESTERDAY,))
    assert read(address, HOURLY) == [(5, PIN, 1, 1, 0, 1)]


def test_groups_below_the_number_are_hidden(address: ClickHouseAddress) -> None:
    write(address, members([(5, 1, PIN, "home", user) for user in range(20)]))
    write(address, members([(5, 2, PIN, "search", user) for user in range(3)]))
    write(address, members([(5, 1, OTHER_PIN, "home", user) for user in range(19)]))
    write(address, members([(6, 1, OTHER_PIN, "home", 100)]))
    sealed(address, least=20)
    assert read(address, HOURLY) == [(5, PIN, 20, 20, None, 1)]
    assert read(address, BY_SURFACE) == [(5, PIN, "home", 20)]
    assert read(address, DAILY) == [(PIN, 20, 20, 19, 1), (OTHER_PIN, 20, 20, 19, 1)]


def test_a_window_that_saw_two_keys_says_so(address: ClickHouseAddress) -> None:
    write(address, members([(5, 1, PIN, "home", 1)]))
    write(address, members([(5, 1, PIN, "home", 2)], key=2, source=2))
    sealed(address)
    assert read(address, HOURLY) == [(5, PIN, 2, 2, 0, 2)]
    assert read(address, DAILY) == [(PIN, 2, 2, 19, 2)]


def test_a_day_that_saw_two_keys_says_so_though_none_of_its_hours_did(address: ClickHouseAddress) -> None:
    """The key was changed between two hours: the same user has another hash, and counts twice in the day."""
    write(address, members([(5, 1, PIN, "home", 1)]))
    write(address, members([(6, 1, PIN, "home", 2)], key=2))
    sealed(address)
    assert read(address, HOURLY) == [(5, PIN, 1, 1, 0, 1), (6, PIN, 1, 1, 0, 1)]
    assert read(address, DAILY) == [(PIN, 2, 2, 19, 2)]
    write(address, members([(6, 1, PIN, "home", 2)], key=2, version=11, events=0))
    sealed(address)
    assert read(address, DAILY) == [(PIN, 1, 1, 19, 1)], "by the members that count"


def test_windows_whose_members_are_gone_with_age_stay_as_they_are(address: ClickHouseAddress) -> None:
    write(address, members([(5, 1, PIN, "home", 1)]))
    sealed(address)
    keep_members(address, 1)
    read(address, "TRUNCATE TABLE pin_members")
    with ClickHouseSink(address).session() as session:
        session.reopen_from(YESTERDAY)
    assert sealed(address) == UsersSealed()
    assert read(address, HOURLY) == [(5, PIN, 1, 1, 0, 1)]


def test_a_sealer_that_dies_before_any_statement_leaves_nothing_wrong(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(address, members([(22, 1, PIN, "home", user) for user in range(3)]))
    seal(address, TODAY)

    def look() -> None:
        assert read(address, HOURLY) in ([], [(22, PIN, 3, 3, 0, 1)])

    assert crash_before_each_statement(monkeypatch, lambda: seal_users(address, 1), look) > 10
    assert read(address, HOURLY) == [(22, PIN, 3, 3, 0, 1)]
    assert read(address, DAILY) == [(PIN, 3, 3, 2, 1)]


def test_members_that_come_before_any_statement_of_a_sealing_are_shown_in_the_end(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(address, members([(22, 1, PIN, "home", 0)]))
    seal(address, TODAY)
    users = iter(range(1, 1_000))
    number = 0

    def another(sql: str) -> None:
        nonlocal number
        if "seal_numbers" in sql:
            return  # else both would take the same number for ever
        number = next(users)
        write(address, members([(22, 1, PIN, "home", number)], version=10 + number))

    with before_each_statement(monkeypatch, another):
        seal_users(address, 1)
    assert number > 3
    sealed(address)
    assert read(address, HOURLY) == [(22, PIN, number + 1, number + 1, 0, 1)]


def test_one_person_is_erased_as_the_page_of_security_says(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PINTALLY_USER_KEY", f"{PUBLISHED},{OTHER}")
    user_hash.main(["91847"])
    hashed = capsys.readouterr().out.split()
    assert [int(each) for each in hashed] == [
        sip_hash(key, (91847).to_bytes(8, "little")) for key in (PUBLISHED, OTHER)
    ]
    write(address, members([(22, 1, PIN, "home", user) for user in range(3)]))
    person = members([(22, 1, PIN, "home", 0), (23, 1, OTHER_PIN, "home", 0)], source=2)
    write(address, replace(person, user_hash=np.full(2, int(hashed[1]), np.uint64), events=np.full(2, 99, np.uint64)))
    sealed(address)
    flags = f"SELECT count() FROM flagged_users WHERE user_hash = {hashed[1]}"
    assert read(address, flags) == [(2,)]
    assert read(address, HOURLY) == [(22, PIN, 4, 4, 0, 1), (23, OTHER_PIN, 1, 1, 0, 1)]
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    statements = r"^(?:DELETE FROM (?:pin_|flagged_)|INSERT INTO user_seals|SELECT count)[^;]*"
    remove, reopen, is_open, forget, forget_flags = re.findall(statements, page, re.MULTILINE)
    assert "IN (0)" in remove
    read(address, remove.replace("(0)", f"({', '.join(hashed)})"))
    read(address, reopen)
    assert read(address, is_open) != [(0,)]
    seal_users(address, 1)
    assert read(address, is_open) == [(0,)]
    assert read(address, HOURLY) == [(22, PIN, 3, 3, 0, 1)]
    assert read(address, DAILY) == [(PIN, 3, 3, 2, 1)]
    assert read(address, f"SELECT count() FROM pin_user_states WHERE pin_id = {OTHER_PIN}") == [(1,)]
    read(address, forget)
    read(address, forget_flags)
    assert read(address, flags) == [(0,)]
    assert read(address, f"SELECT count() FROM pin_user_states WHERE pin_id = {OTHER_PIN}") == [(0,)]
    assert read(address, f"SELECT count() FROM pin_members WHERE user_hash IN ({', '.join(hashed)})") == [(0,)]
    assert seal_users(address, 1) == UsersSealed()


def test_large_groups_are_counted_within_two_hundredths(address: ClickHouseAddress) -> None:
    hours = range(20, 24)
    for hour in hours:
        write(address, members([(hour, 1, PIN, "home", user) for user in range(hour * 1_000, hour * 1_000 + 9_000)]))
    sealed(address)
    found = [(9_000, users) for _, _, users, *_ in read(address, HOURLY)]
    found += [(12_000, users) for _, users, *_ in read(address, DAILY)]
    assert len(found) == len(hours) + 1
    assert all(abs(users - known) < known / 50 for known, users in found), found


def test_readers_have_a_right_to_numbers_alone() -> None:
    worker, reader = (" ".join(user.grants) for user in users("counts"))
    for table in ("pin_members", "arm_members", "pin_user_states", "flagged_users"):
        assert f".{table}" in worker
        assert f".{table}" not in reader.replace(".flagged_users_1h", "")
    for name in (
        "pin_hour_users",
        "pin_day_users",
        "user_seals",
        "pin_users_1h",
        "pin_surface_users_1d",
        "flagged_users_1h",
        "arm_day_users",
    ):
        assert f"SELECT ON `counts`.{name}" in reader
