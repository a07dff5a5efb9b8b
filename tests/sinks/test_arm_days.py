"""Users of arms of sealed days: exact over any days that end with one, for who may read the results alone (C36)."""

import re
from collections import Counter
from collections.abc import Sequence
from math import erfc, sqrt
from pathlib import Path

import pytest

from pintally.schemas.cells import ArmMemberRows, ExperimentRows
from pintally.schemas.rows import version_of
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import arm_day_seals
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.reads.arm_users import NO_RIGHT, ArmUsers, Users, users_of_days
from pintally.sinks.reads.experiments import Measured, read_results
from pintally.streams.settings import Settings
from tests.sinks.sealing import DAY, HOUR, TODAY, before_each_statement, crash_before_each_statement, read
from tests.support.cells import cells

Act = tuple[int, int, str, int]  # days before yesterday, hour, arm, user
Numbers = dict[str, tuple[int | None, int | None]]
KEY = 77


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    return stack.clickhouse


def write(
    address: ClickHouseAddress, acts: Sequence[Act], version: int = 10, events: int = 1, key: int = KEY, source: int = 1
) -> None:
    """The cells and members of these acts, and a minute of a pin in each of their hours: what a worker flushes."""
    at = version_of(0, version)
    placed = [(TODAY - (1 + back) * DAY + hour * HOUR, arm, user) for back, hour, arm, user in acts]
    buckets = Counter((hour, arm, user % 256) for hour, arm, user in placed)
    head = (source, 0, TODAY - DAY, at, 1)
    arms = [
        (*head, hour, "checkout", arm, bucket, n * events, n * events) for (hour, arm, bucket), n in buckets.items()
    ]
    seen = [(*head, hour, "checkout", arm, key, user, events) for hour, arm, user in placed]
    minutes = cells(*((source, 0, TODAY - DAY, 1, hour, 1, 1, at) for hour in sorted({hour for hour, *_ in placed})))
    with ClickHouseSink(address).session() as session:
        session.write_cells(
            minutes, ExperimentRows.of(zip(*arms, strict=True)), ArmMemberRows.of(zip(*seen, strict=True))
        )


def sealed(address: ClickHouseAddress, least: int = 1) -> tuple[int, ...]:
    """The days of yesterday and before whose users of arms were sealed."""
    seal(address, TODAY)
    return tuple((TODAY - day) // DAY - 1 for day in seal_arm_users(address, least))


def results(address: ClickHouseAddress, days: int = 1, until: int = TODAY) -> list[Measured]:
    with Connection(address, 30, only_reads=True) as connection:
        return read_results(connection, "checkout", until - days * DAY, until)


def shown(address: ClickHouseAddress, days: int = 1, until: int = TODAY) -> Numbers:
    """Users of each arm and those in several, as readers see them."""
    return {each.arm: (each.users, each.in_several_arms) for each in results(address, days, until)}


ACTS: list[Act] = [
    *((2, 23, "control", user) for user in range(100, 190)),
    *(
        (back, hour, "control", user)
        for back in (0, 1)
        for hour in (3, 20)
        for user in range(50 * back, 50 * back + 90)
    ),
    *((back, 5, "treatment", user) for back in (0, 1) for user in range(1_000, 1_060 + back)),
    *((1, 7, "treatment", user) for user in (10, 20, 30, 55)),  # all were in control too, and three of them today alone
]


def known(days: int, back: int = 0) -> dict[str, tuple[int, int]]:
    """The same by sets, of the days that end with the one that is `back` before yesterday."""
    within = [act for act in ACTS if back <= act[0] < back + days]
    users = {arm: {user for _, _, of, user in within if of == arm} for arm in ("control", "treatment")}
    both = len(users["control"] & users["treatment"])
    return {arm: (len(each), both) for arm, each in users.items() if each}


def test_users_of_any_days_are_counted_once_and_stand_beside_the_results(address: ClickHouseAddress) -> None:
    write(address, ACTS)
    write(address, ACTS, 11, events=2)
    assert set(shown(address).values()) == {(None, None)}, "not before they are sealed"
    assert sealed(address) == (2, 1, 0)
    for back in (0, 1, 2):
        for days in range(1, 4 - back):
            assert shown(address, days, TODAY - back * DAY) == known(days, back)
    assert known(2)["treatment"] == (65, 4)
    assert known(2)["control"][0] < sum(known(1, back)["control"][0] for back in (0, 1)), "they are no sums of days"
    assert set(shown(address, 1, TODAY - HOUR).values()) == {(None, None)}, "of other hours they are not known"
    assert set(shown(address, 30).values()) == {(None, None)}, "nor of more days than members are kept"
    assert sealed(address) == (), "nothing is due any more"


def test_the_alarm_is_raised_by_users_where_they_are_known(address: ClickHouseAddress) -> None:
    control = [(0, hour, "control", user) for hour in (22, 23) for user in range(600)]
    write(address, [*control, *((0, 23, "treatment", user) for user in range(5_000, 5_900))])
    before = {each.arm: each.sample_ratio_p for each in results(address)}
    sealed(address)
    found = results(address)
    p = {each.arm: each.sample_ratio_p for each in found}["treatment"]
    assert p == pytest.approx(erfc(300 / sqrt(2 * 1_500)))
    assert p != before["treatment"]
    assert all(each.sample_ratio_alarm == (each.arm == "treatment") for each in found)
    assert users_of_days(found) == Users((ArmUsers("control", 600, 0), ArmUsers("treatment", 900, 0, p)))


def test_small_groups_are_not_shown(address: ClickHouseAddress) -> None:
    several = [(0, 23, arm, user) for arm in ("control", "treatment") for user in range(3)]
    write(address, [*several, *((0, 23, "control", user) for user in range(3, 30))])
    sealed(address, least=4)
    assert shown(address) == {"control": (30, None), "treatment": (None, None)}
    assert users_of_days(results(address)).unknown == NO_RIGHT


def test_a_day_is_sealed_again_when_members_come_later_and_shows_no_users_of_other_events_until_then(
    address: ClickHouseAddress,
) -> None:
    write(address, [(1, 23, "control", user) for user in range(9)])
    write(address, [(0, 23, "control", 1)])
    assert sealed(address) == (1, 0)
    write(address, [(1, 23, "control", user) for user in range(7, 12)], source=2)
    assert (shown(address, 2), shown(address, 1)) == ({"control": (None, None)}, {"control": (1, 0)})
    assert sealed(address) == (1, 0), "the window of two days holds the hour too"
    assert shown(address, 2) == {"control": (12, 0)}
    assert shown(address, 1, TODAY - DAY) == {"control": (12, 0)}


def test_users_of_two_keys_and_users_of_hours_that_were_not_counted_are_unknown(address: ClickHouseAddress) -> None:
    write(address, [(1, 23, "control", user) for user in range(9)])
    write(address, [(0, 23, "control", user) for user in range(9)], key=KEY + 1)
    sealed(address)
    assert shown(address, 1) == {"control": (9, 0)}
    assert shown(address, 2) == {"control": (None, None)}
    with ClickHouseSink(address).session() as session:  # cells alone, as before PINTALLY_COUNT_USERS
        session.write_cells(
            cells((2, 0, TODAY - DAY, 1, TODAY - HOUR, 1, 1, version_of(0, 9))),
            ExperimentRows.of(zip((2, 0, TODAY - DAY, version_of(0, 9), 1, TODAY - HOUR, "checkout", "b", 1, 5, 5))),
        )
    sealed(address)
    assert shown(address, 1) == {"b": (None, None), "control": (9, 0)}


def test_a_sealer_that_dies_anywhere_leaves_what_readers_saw(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(address, [(0, 23, "control", user) for user in range(9)])
    seal(address, TODAY)
    seen = []
    deaths = crash_before_each_statement(
        monkeypatch, lambda: seal_arm_users(address, 1), lambda: seen.append(shown(address)["control"][0])
    )
    assert deaths > 5
    assert set(seen) <= {None, 9}
    assert shown(address) == {"control": (9, 0)}


def test_numbers_of_members_that_changed_meanwhile_are_not_published(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(address, [(0, 23, "control", 0)])
    seal(address, TODAY)
    late: list[str] = []

    def another(sql: str) -> None:
        if "FROM arm_day_users" in sql and not late:
            write(address, [(0, 23, "control", 1)], source=2)
            late.append(sql)

    with before_each_statement(monkeypatch, another):
        assert seal_arm_users(address, 1) == (), "its hour is open now"
    assert len(late) == 1
    assert shown(address) == {"control": (None, None)}
    assert sealed(address) == (0,)
    assert shown(address) == {"control": (2, 0)}


DAMAGE = {
    "a number is wrong": "ALTER TABLE arm_day_users UPDATE users = 1 WHERE days = 1 SETTINGS mutations_sync = 2",
    "rows are gone": "DELETE FROM arm_day_users WHERE arm = 'control'",
    "rows stand twice": "INSERT INTO arm_day_users SELECT * FROM arm_day_users",
    "members are gone": "DELETE FROM arm_members WHERE user_hash = 3",
    "another sum was stated": "INSERT INTO arm_day_seals SELECT * REPLACE (rows + 1 AS rows) FROM arm_day_seals FINAL",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_other_hands_changed_is_found_and_sealed_again(address: ClickHouseAddress, statement: str) -> None:
    write(address, [(0, 23, arm, user) for arm in ("control", "treatment") for user in range(900)])
    sealed(address)
    read(address, statement)
    with ClickHouseSink(address).session() as session:
        assert len(session.reopen_unequal()) == 1
        sealed(address)
        assert session.reopen_unequal() == []
    [left] = read(address, "SELECT uniqExact(user_hash) FROM arm_members")
    assert shown(address) == dict.fromkeys(("control", "treatment"), (left[0], left[0]))


def test_one_person_is_erased_as_the_page_of_security_says(address: ClickHouseAddress) -> None:
    write(address, [(0, 23, "control", user) for user in range(900)])
    sealed(address)
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    remove, reopen = re.findall(r"^(?:DELETE FROM arm_members|INSERT INTO arm_day_seals)[^;]*", page, re.MULTILINE)
    read(address, remove.replace("(0)", "(7)"))
    read(address, reopen)
    assert sealed(address) == (0,)
    assert shown(address) == {"control": (899, 0)}


def test_days_whose_members_may_be_deleted_with_age_stay_as_they_are(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(address, [(0, 23, "control", user) for user in range(9)])
    sealed(address)
    monkeypatch.setattr(arm_day_seals, "member_days", lambda _: 1)  # yesterday at 00:00 is more than a day ago
    read(address, "TRUNCATE TABLE arm_members")
    write(address, [(0, 23, "control", 99)], source=2)
    with ClickHouseSink(address).session() as session:
        session.reopen_unequal()
    assert sealed(address) == ()
    assert read(address, "SELECT DISTINCT users FROM arm_day_users") == [(9,)]
