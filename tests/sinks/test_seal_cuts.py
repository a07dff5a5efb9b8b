"""Readers of any cut find the cells that arrived before it, whenever cells come and whoever seals."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from random import Random

import pytest

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.features.check import check_features
from pintally.schemas.cells import CellRows
from pintally.schemas.rows import StartRow, version_of
from pintally.schemas.rules import Rules
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import known_rows
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.settings import Settings
from tests.sinks.sealed_cuts import HOUR, TEN, published, seal_all, sealed, wrong
from tests.sinks.sealing import (
    DAY,
    YESTERDAY,
    Crash,
    before_each_statement,
    crash_before_each_statement,
    in_another_thread,
    read,
    reopen_from,
    write,
)
from tests.sinks.sealing_schedule import SOURCE
from tests.support.cells import cells

MIDNIGHT = YESTERDAY - DAY
EVENING = MIDNIGHT - 3 * HOUR
LAST = MIDNIGHT + 2 * HOUR  # the first hour of the day is complete at it, by the least lateness
LAST_DATED = "SELECT max(published_at) FROM cuts"
LATENESSES = (0, HOUR, 2 * HOUR + 1)


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    return stack.clickhouse


class Traffic:
    """Random cells. A version is a number that grows, so that what comes later is current."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.version = 0

    def cells(self, buckets: list[int], latest: int, count: int, replayed: float = 0.1) -> CellRows:
        """Cells that arrive in some of these buckets, at most `latest` seconds late, or replayed after days."""
        rows = []
        for _ in range(count):
            self.version += 1
            bucket = self.random.choice(buckets)
            late = self.random.randrange(3 * DAY) if self.random.random() < replayed else self.random.randrange(latest)
            minute = (bucket + self.random.randrange(-TEN, TEN) - late) // 60 * 60
            slice_block, action, pin = self.random.randrange(3), self.random.randint(1, 3), self.random.randint(1, 4)
            rows.append((1, slice_block, bucket, action, minute, pin, self.random.randint(0, 5), self.version))
        return cells(*rows)


@pytest.mark.parametrize("seed", range(3))
def test_a_reader_of_any_cut_finds_the_cells_that_arrived_before_it(seed: int, stack: Settings) -> None:
    """Buckets are empty or not, cells late or replayed, the lateness changes; then cells come for what is sealed."""
    address, traffic, random = stack.clickhouse, Traffic(seed), Random(seed)
    first = EVENING - random.randrange(6) * TEN
    buckets = [first + n * TEN for n in range(15) if n < 2 or random.random() < 0.5]
    for until in (first + 6 * TEN, first + 12 * TEN, first + 8 * HOUR):
        arriving = [b for b in buckets if until - 6 * TEN <= b < until] or [until - TEN]
        sealed(address, traffic.cells(arriving, HOUR, 30), until=until, lateness=random.choice(LATENESSES))
    cuts = published(address)
    assert cuts == list(range(cuts[0], first + 8 * HOUR + 1, TEN))
    assert wrong(address) == {}
    write(address, traffic.cells([*buckets, first - 5 * TEN], 3 * HOUR, 30))
    seal_all(address, first + 8 * HOUR)
    assert wrong(address) == {}
    assert read(address, "SELECT count() FROM feature_seals FINAL WHERE is_open") == [(0,)]
    with ClickHouse(addresses_of(stack)) as clickhouse:
        assert [each for each in check_features(clickhouse, 0) if each.source != "cuts"] == [], "verify agrees"


@pytest.mark.parametrize("ahead", ["0 SECOND", "30 SECOND", "1 YEAR"])
def test_each_cut_is_published_after_the_one_before_it(ahead: str, address: ClickHouseAddress) -> None:
    """Those of one batch and of the next, also after a clock went back: as of its moment each cut is the newest.

    Only what is dated by a clock that is quite wrong is not waited for.
    """
    sealed(address, Traffic(1).cells([MIDNIGHT, MIDNIGHT + 3 * TEN], HOUR, 9), until=MIDNIGHT + TEN)
    dated = f"SELECT cut, hours_until, now64(3) + INTERVAL {ahead}, seal FROM cuts"
    with Connection(address) as connection:
        connection.execute(f"INSERT INTO cuts (cut, hours_until, published_at, seal) {dated}")
        connection.execute(f"ALTER TABLE cuts DELETE WHERE published_at < ({LAST_DATED}) SETTINGS mutations_sync = 1")
    seal_all(address, LAST)
    published_at = [at for (at,) in read(address, "SELECT toUnixTimestamp64Milli(published_at) FROM cuts ORDER BY cut")]
    first, *others = published_at
    assert len(others) == (LAST - MIDNIGHT) // TEN - 1
    assert all(one < other for one, other in pairwise(others))
    assert (first < others[0] < first + 600_000) == (ahead != "1 YEAR")


def small(address: ClickHouseAddress) -> ClickHouseAddress:
    """Two buckets with cells, one of them of a complete hour; in the cuts to LAST hours and bases become due."""
    rows = [(1, n, MIDNIGHT + n * TEN, 1 + n % 3, MIDNIGHT + n * 60, n % 2 + 1, 3, 10) for n in range(2)]
    write(address, cells(*rows, (1, 2, MIDNIGHT + TEN, 1, MIDNIGHT - 3 * HOUR, 7, 5, 10)))
    return address


def late(address: ClickHouseAddress, version: int, bucket: int = MIDNIGHT) -> None:
    """One more cell of the first bucket: its events grow with the version."""
    write(address, cells((1, 5, bucket, 1, MIDNIGHT + 120, 9, version, version)))


def test_a_crash_before_any_statement_changes_nothing_that_readers_see_and_the_next_call_goes_on(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(address)

    def compare() -> None:
        assert wrong(address) == {}

    crashes = crash_before_each_statement(monkeypatch, lambda: seal_cuts(address, LAST, HOUR), compare)
    assert crashes > 30
    assert published(address) == list(range(MIDNIGHT + TEN, LAST + 1, TEN))
    assert wrong(address) == {}


TABLES = (
    "pin_tiles", "pin_corrections", "tile_tops", "pin_hours_by_pin", "hour_tops", "pin_base", "feature_seals", "cuts"
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_a_sealer_that_slept_before_an_insert_changes_nothing_of_what_others_sealed_meanwhile(
    table: str, address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others seal under a greater lateness: by theirs, other hours are complete at the same cut."""
    slept = False

    def sleep(sql: str) -> None:
        nonlocal slept
        if not slept and sql.lstrip().startswith(f"INSERT INTO {table} "):
            slept = True
            in_another_thread(lambda: seal_all(address, LAST, 2 * HOUR))
            in_another_thread(lambda: late(address, 20))
            in_another_thread(lambda: seal_all(address, LAST, 2 * HOUR))

    small(address)
    with before_each_statement(monkeypatch, sleep):
        seal_cuts(address, LAST, HOUR)
    assert slept
    assert wrong(address) == {}
    seal_all(address, LAST + 6 * TEN, HOUR)
    assert wrong(address) == {}
    assert read(address, "SELECT cut FROM cuts GROUP BY cut HAVING count() > 1") == []


def test_cells_that_land_while_their_bucket_is_sealed_are_known(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed = 0

    def land(sql: str) -> None:
        nonlocal landed
        if sql.startswith(("INSERT INTO feature_seals", "INSERT INTO pin_tiles")) and landed < 4:
            landed += 1
            in_another_thread(lambda: late(address, 20 + landed))

    small(address)
    with before_each_statement(monkeypatch, land):
        seal_all(address, LAST)
    assert landed == 4
    assert wrong(address) == {}


@pytest.mark.parametrize("bucket", [MIDNIGHT + TEN, MIDNIGHT])
def test_cells_that_land_just_before_a_cut_are_found_by_the_second_look_of_this_sealer_or_of_the_next(
    bucket: int, address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = 0

    def land_and_die(sql: str) -> None:
        nonlocal published
        if published == 2:
            raise Crash
        if sql.lstrip().startswith("INSERT INTO cuts"):
            published += 1
            if published == 2:
                in_another_thread(lambda: late(address, 20, bucket))

    small(address)
    with before_each_statement(monkeypatch, land_and_die), pytest.raises(Crash):
        seal_all(address, LAST)
    seal_all(address, LAST)
    assert wrong(address) == {}


def test_two_sealers_at_once_agree(address: ClickHouseAddress) -> None:
    small(address)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda lateness: seal_all(address, LAST, lateness), [HOUR, 2 * HOUR]))
    seal_all(address, LAST)
    assert published(address) == list(range(MIDNIGHT + TEN, LAST + 1, TEN))
    assert wrong(address) == {}


def state(address: ClickHouseAddress) -> dict[tuple[str, int], tuple[bool, ...]]:
    """Of windows with cells: whether they are open, were corrected, and whether their rows are there."""
    sql = "SELECT toString(kind), toUnixTimestamp(window_start), is_open, corrected, rows_seal > 0"
    rows = read(address, f"{sql} FROM feature_seals FINAL WHERE pins > 0")
    return {(kind, start): tuple(map(bool, flags)) for kind, start, *flags in rows}


def test_late_cells_open_their_bucket_and_hour_and_readers_see_them_once_all_is_sealed_again(
    address: ClickHouseAddress,
) -> None:
    small(address)
    until = MIDNIGHT + 26 * HOUR
    seal_all(address, until)
    before = state(address)
    assert before[("base", MIDNIGHT + DAY)] == (False, False, True)
    served = read(address, "SELECT pin_id, saves FROM pin_tiles ORDER BY ALL")
    late(address, 20)
    assert {name for name, (is_open, _, there) in state(address).items() if is_open and there} == {
        ("tiles", MIDNIGHT), ("hours", MIDNIGHT)
    }  # fmt: skip
    assert read(address, "SELECT pin_id, saves FROM pin_tiles ORDER BY ALL") == served
    assert wrong(address) != {}, "not before it is sealed again"
    result = seal_cuts(address, until, HOUR)
    assert {("tiles", MIDNIGHT), ("hours", MIDNIGHT), ("base", MIDNIGHT + DAY)} == set(result.corrected)
    assert wrong(address) == {}
    assert {name for name, (_, corrected, _) in state(address).items() if corrected} == set(result.corrected)


def test_cells_that_are_written_again_without_a_change_correct_nothing(address: ClickHouseAddress) -> None:
    small(address)
    seal_all(address, LAST)
    small(address)
    result = seal_cuts(address, LAST, HOUR)
    assert {("tiles", MIDNIGHT), ("tiles", MIDNIGHT + TEN), ("hours", MIDNIGHT)} <= set(result.again)
    assert result.corrected == ()


def test_a_replay_of_a_complete_hour_is_a_correction_and_changes_no_earlier_cut(address: ClickHouseAddress) -> None:
    small(address)
    [row] = sealed(address, until=LAST) and read(
        address, "SELECT toUnixTimestamp(window_start), toUnixTimestamp(known_from), pin_id, saves FROM pin_corrections"
    )
    assert row == (MIDNIGHT - 3 * HOUR, MIDNIGHT + 2 * TEN, 7, 5)
    assert ("hours", MIDNIGHT - 3 * HOUR) not in state(address)
    write(address, cells((2, 0, LAST + TEN, 1, MIDNIGHT + 60, 2, 4, 9)))
    assert not any(is_open for is_open, _, _ in state(address).values())
    seal_all(address, LAST + 2 * TEN)
    assert wrong(address) == {}
    assert read(address, "SELECT count() FROM pin_corrections") == [(2,)]


def test_a_change_of_the_rules_opens_what_arrived_since(address: ClickHouseAddress) -> None:
    small(address)
    seal_all(address, LAST)
    reopen_from(address, MIDNIGHT + 900)
    opened = {name for name, (is_open, _, _) in state(address).items() if is_open}
    assert opened == {("tiles", MIDNIGHT + TEN), ("hours", MIDNIGHT)}
    assert wrong(address) == {}, "rows of the last publication are read"
    assert seal_cuts(address, LAST, HOUR).corrected == ()


def test_superseded_cells_are_deleted_and_not_known(address: ClickHouseAddress) -> None:
    starts = [StartRow(SOURCE, epoch, at, 0, Rules().to_json()) for epoch, at in ((0, 0), (1, 500_000))]
    with ClickHouseSink(address).session() as session:
        session.write_starts(starts)
        for epoch, pin in ((0, 51), (1, 52)):
            session.write_cells(cells((SOURCE.id, 2, MIDNIGHT, 1, MIDNIGHT, pin, 1, version_of(epoch, 600_000))))
    seal_all(address, MIDNIGHT + TEN)
    assert read(address, "SELECT pin_id FROM pin_minutes") == [(52,)]
    assert read(address, "SELECT pin_id FROM pin_tiles") == [(52,)]
    with ClickHouseSink(address).session() as session:
        session.write_cells(cells((SOURCE.id, 2, MIDNIGHT, 1, MIDNIGHT, 53, 1, version_of(0, 600_000))))
    seal_all(address, MIDNIGHT + TEN)
    assert wrong(address) == {}
    assert read(address, "SELECT pin_id FROM pin_minutes") == [(52,)]


def test_the_cells_of_a_bucket_are_found_by_its_index_though_versions_are_merged(address: ClickHouseAddress) -> None:
    """Of 20 parts, each of a bucket of its own, it leaves one."""
    with Connection(address, 30) as connection:
        connection.execute("SYSTEM STOP MERGES pin_minutes")
        for n in range(20):
            connection.execute(
                "INSERT INTO pin_minutes (source, slice_block, arrived_at, action, minute, pin_id, events, version)"
                f" SELECT 1, 0, toDateTime({MIDNIGHT + n * TEN}, 'UTC'), 1, toDateTime({MIDNIGHT}, 'UTC'), number, 1, 1"
                " FROM numbers(1000)"
            )
        plan = connection.rows(
            f"EXPLAIN indexes = 1 {known_rows.BUCKET_CELLS}", start=MIDNIGHT + TEN, hours_until=MIDNIGHT
        )
        connection.execute("SYSTEM START MERGES pin_minutes")
    text = "\n".join(row[0] for row in plan)
    assert "Name: arrived_at" in text, text
    assert "Parts: 1/20" in text.split("Name: arrived_at")[1], text


def test_each_base_is_the_sum_of_its_days_as_days_come_and_leave(address: ClickHouseAddress) -> None:
    """Cells of each of 34 days arrive at once. Every day one more leaves the 7 days, and the 30."""
    first = YESTERDAY - 6 * DAY
    rows = [(1, n, first, 1 + n % 3, first - n * DAY + 7 * HOUR, n % 4 + 1, 1 + n, 9) for n in range(34)]
    sealed(address, cells(*rows), until=YESTERDAY)
    assert wrong(address) == {}
    bases = "SELECT day, sum(saves_7d + clicks_7d + closeups_7d), sum(saves_30d + clicks_30d + closeups_30d)"
    found = read(address, f"{bases} FROM pin_base GROUP BY day ORDER BY day")
    assert len({row[1] for row in found}) == len({row[2] for row in found}) == len(found) == 7


def test_a_base_whose_hours_were_sealed_with_other_counts_meanwhile_is_sealed_again(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour changes between the check of the base's sums and its publication: nobody opens the base after it."""
    small(address)
    changed = False

    def change(sql: str) -> None:
        nonlocal changed
        based = sql.startswith("INSERT INTO feature_seals") and read(address, "SELECT 1 FROM pin_base WHERE pin_id = 1")
        if based and not changed:
            changed = True
            in_another_thread(lambda: late(address, 20))
            in_another_thread(lambda: seal_cuts(address, 0, HOUR))

    with before_each_statement(monkeypatch, change):
        seal_all(address, MIDNIGHT + 26 * HOUR)
    assert changed
    seal_all(address, MIDNIGHT + 26 * HOUR)
    assert wrong(address) == {}
