"""Sealing survives crashes, company and sleep."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pintally.schemas.cells import CELL_TABLES, ArmMemberRows, ExperimentRows, PinMemberRows
from pintally.schemas.rows import StartRow, version_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.reopen import sealed_and_cut, sealed_until
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.reads.operating import read_superseded
from pintally.streams.settings import Settings
from tests.sinks.sealing import (
    DAY,
    HOUR,
    TODAY,
    YESTERDAY,
    Crash,
    before_each_statement,
    crash_before_each_statement,
    disagreements,
    in_another_thread,
    read,
    reopen_from,
    some_cells,
    write,
)
from tests.support.cells import cells


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    write(stack.clickhouse, some_cells())
    return stack.clickhouse


def test_it_seals_every_hour_that_has_ended_and_the_days_they_fill(address: ClickHouseAddress) -> None:
    result = seal(address, TODAY + HOUR + 1)
    assert result.sealed_until == TODAY + HOUR
    assert result.hours == tuple(range(YESTERDAY, TODAY + HOUR, HOUR))
    assert result.days == (YESTERDAY,)
    assert result.corrected == result.unsettled == ()


def test_sealing_again_does_nothing_and_never_moves_back(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    for until in (TODAY, TODAY - 5 * HOUR, 0):
        again = seal(address, until)
        assert (again.sealed_until, again.hours, again.days) == (TODAY, (), ())


def test_without_any_minute_there_is_nothing_to_seal(stack: Settings) -> None:
    assert seal(stack.clickhouse, TODAY).sealed_until == 0


def test_a_crash_before_any_statement_changes_no_count_and_the_next_call_goes_on(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare() -> None:
        assert disagreements(address) == []

    crashes = crash_before_each_statement(monkeypatch, lambda: seal(address, TODAY + HOUR), compare)
    assert crashes > 10
    assert read(address, "SELECT toUnixTimestamp(sealed_until) FROM seal_state") == [(TODAY + HOUR,)]
    assert disagreements(address) == []


def test_two_sealers_at_once_agree(address: ClickHouseAddress) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda until: seal(address, until), [TODAY + HOUR] * 2))
    assert {result.sealed_until for result in results} == {TODAY + HOUR}
    assert disagreements(address) == []
    assert read(address, "SELECT countIf(is_final) FROM pin_engagement_1d") == [(2,)]


def test_a_sealer_that_slept_before_publishing_does_not_win_over_a_newer_one(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = False

    def sleep(sql: str) -> None:
        nonlocal slept
        if not slept and sql.startswith("INSERT INTO sealed") and hour_is_rolled_up(address):
            slept = True
            in_another_thread(lambda: seal(address, TODAY))
            in_another_thread(lambda: write(address, some_cells(20, slice_block=1, count=100)))
            in_another_thread(lambda: seal(address, TODAY))

    with before_each_statement(monkeypatch, sleep):
        seal(address, TODAY)
    assert slept
    assert disagreements(address) == []
    assert read(address, "SELECT sum(saves) FROM pin_engagement_1h") == [(4 * 3 + 4 * 100,)]


def test_rows_that_land_while_their_hour_is_sealed_are_counted(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed = 0

    def land(sql: str) -> None:
        nonlocal landed
        if sql.startswith("INSERT INTO sealed") and hour_is_rolled_up(address) and landed < 3:
            landed += 1
            row = (1, landed, YESTERDAY, 1, YESTERDAY + 3 * HOUR, 7, 1, 30)
            in_another_thread(lambda: write(address, cells(row)))

    with before_each_statement(monkeypatch, land):
        seal(address, TODAY)
    assert landed == 3
    assert disagreements(address) == []


def test_late_rows_reopen_their_hours_and_are_marked_corrected(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    write(address, some_cells(20, slice_block=1))
    assert disagreements(address) == []
    result = seal(address, TODAY)
    assert result.corrected == (YESTERDAY + 3 * HOUR, YESTERDAY + 22 * HOUR)
    assert result.days == (YESTERDAY,)
    assert result.sealed_until == TODAY
    assert read(address, "SELECT open_hours, open_days FROM seal_state") == [([], [])]
    assert disagreements(address) == []


def test_rows_written_again_without_a_change_correct_nothing(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    write(address, some_cells())
    assert seal(address, TODAY).corrected == ()


def test_a_backlog_older_than_the_first_sealed_day_is_sealed_with_its_day(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    write(address, cells((2, 0, YESTERDAY, 1, YESTERDAY - 3 * DAY + 5 * HOUR, 7, 4, 9)))
    assert disagreements(address) == []
    result = seal(address, TODAY)
    assert result.corrected == (YESTERDAY - 3 * DAY + 5 * HOUR,)
    assert result.days == (YESTERDAY - 3 * DAY,)
    assert disagreements(address) == []


def saves_of(address: ClickHouseAddress, view: str, start: int) -> list[tuple[int]]:
    return read(
        address, f"SELECT sum(saves) FROM {view} WHERE window_start >= {start} AND window_start < {start + DAY}"
    )


def is_open(address: ClickHouseAddress, resolution: str, start: int) -> bool:
    where = f"resolution = '{resolution}' AND toUnixTimestamp(window_start) = {start}"
    return bool(read(address, f"SELECT is_open FROM sealed FINAL WHERE {where}")[0][0])


def test_a_backlog_older_than_minutes_are_kept_takes_no_sealed_day_from_readers(stack: Settings) -> None:
    """Days are kept for two years. One whose minutes are gone could not be read from them, nor be sealed again."""
    address, old = stack.clickhouse, TODAY - 200 * DAY
    with Connection(address, 30) as connection:
        number = allocate_seal_id(connection)
        connection.insert("pin_days", ("window_start", "pin_id", "saves", "seal"), [(old, 7, 5, number)])
        connection.insert(
            "sealed", ("resolution", "window_start", "seal", "pins", "saves"), [("day", old, number, 1, 5)]
        )
    write(address, some_cells())
    seal(address, TODAY)
    assert saves_of(address, "pin_engagement_1d", old) == [(5,)]
    write(address, cells((2, 1, TODAY - DAY, 1, old + HOUR, 8, 3, 10)))
    with ClickHouseSink(address).session() as session:
        session.reopen_early(300 * DAY)
    assert saves_of(address, "pin_engagement_1d", old) == [(5,)]


def test_the_day_whose_minutes_are_deleted_next_stays_sealed_and_its_hours_do_not(stack: Settings) -> None:
    """Sealing may not come to it before midnight, when its minutes begin to go."""
    address, last, kept = stack.clickhouse, TODAY - 89 * DAY, TODAY - 88 * DAY
    write(address, cells(*((1, n, day, 1, day + HOUR, 7, 5, 10) for n, day in enumerate((last, kept)))))
    seal(address, kept + DAY)
    write(address, cells(*((1, n + 5, TODAY, 1, day + HOUR, 7, 3, 10) for n, day in enumerate((last, kept)))))
    for day, is_counted in ((last, False), (kept, True)):
        assert is_open(address, "hour", day + HOUR)
        assert is_open(address, "day", day) is is_counted
        assert saves_of(address, "pin_engagement_1h", day) == [(8,)]
        assert saves_of(address, "pin_engagement_1d", day) == [(8 if is_counted else 5,)]
    seal(address, kept + DAY)
    assert saves_of(address, "pin_engagement_1h", last) == saves_of(address, "pin_engagement_1d", kept) == [(8,)]


def test_foreign_writes_are_found_and_sealed_again(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    with Connection(address, 30) as connection:
        connection.execute(
            "ALTER TABLE pin_minutes DELETE WHERE pin_id = 7 AND minute < toDateTime(%(m)s, 'UTC')"
            " SETTINGS mutations_sync = 2",
            {"m": YESTERDAY + 4 * HOUR},
        )
    assert disagreements(address) != []
    with ClickHouseSink(address).session() as session:
        session.reopen_unequal()
    assert disagreements(address) == []
    assert seal(address, TODAY).corrected == (YESTERDAY + 3 * HOUR,)
    assert disagreements(address) == []


def test_reopening_moves_sealed_until_back_and_never_forward(address: ClickHouseAddress) -> None:
    seal(address, TODAY)
    reopen_from(address, TODAY + DAY)
    assert read(address, "SELECT toUnixTimestamp(sealed_until) FROM seal_state") == [(TODAY,)]
    reopen_from(address, TODAY - 2 * HOUR)
    assert read(address, "SELECT toUnixTimestamp(sealed_until) FROM seal_state") == [(TODAY - 2 * HOUR,)]
    assert disagreements(address) == []
    assert seal(address, TODAY).sealed_until == TODAY


def test_hours_that_were_sealed_before_their_end_and_the_lateness_are_opened_until_their_time(
    address: ClickHouseAddress,
) -> None:
    """`written_at` is ClickHouse's clock; a lateness as long as all of the past makes any hour early."""
    seal(address, TODAY)
    with ClickHouseSink(address).session() as session:
        session.reopen_early(0)
        assert read(address, "SELECT toUnixTimestamp(sealed_until) FROM seal_state") == [(TODAY,)]
        session.reopen_early(int(time.time()) - (TODAY - 2 * HOUR) + 60)
    assert read(address, "SELECT toUnixTimestamp(sealed_until) FROM seal_state") == [(TODAY - 3 * HOUR,)]
    assert disagreements(address) == []
    assert seal(address, TODAY).sealed_until == TODAY
    assert disagreements(address) == []


def superseded(address: ClickHouseAddress) -> tuple[list[tuple[str, int, int]], dict[str, int]]:
    """Table, pin and minute of yesterday, as the view has them; and how many there are, by table."""
    sql = "SELECT table, pin_id, dateDiff('minute', toStartOfDay(hour), window_start) FROM superseded_cells ORDER BY 1"
    with Connection(address, 30) as connection:
        return [(table, pin, minute) for table, pin, minute in connection.rows(sql)], read_superseded(connection)


def test_superseded_rows_are_deleted_and_not_sealed(address: ClickHouseAddress) -> None:
    source = Source("engagement.save.v1", __import__("uuid").uuid4(), 0)
    old, new = (
        StartRow(source, epoch, start, YESTERDAY * 1000, Rules().to_json()) for epoch, start in ((0, 0), (1, 500_000))
    )
    hour, minute = YESTERDAY + 5 * HOUR, YESTERDAY + 5 * HOUR + 60
    by_offset = [(2, version_of(0, 600_000)), (1, version_of(0, 490_000)), (2, version_of(1, 600_000))]
    members = [(source.id, b, YESTERDAY, v, 1, hour, 51, "home", 1, b + v, 1, 1) for b, v in by_offset]
    arms = [(source.id, b, YESTERDAY, v, 1, hour, "checkout", "green", b + (v > 1 << 48), 1, 1) for b, v in by_offset]
    both = [(source.id, b, YESTERDAY, v, 1, hour, "checkout", "green", 1, b + v, 1) for b, v in by_offset]
    with ClickHouseSink(address).session() as session:
        session.write_starts([old, new])
        session.write_cells(PinMemberRows.of(zip(*members, strict=True)), ExperimentRows.of(zip(*arms, strict=True)))
        session.write_cells(ArmMemberRows.of(zip(*both, strict=True)))
        session.write_cells(cells((source.id, 1, YESTERDAY, 1, minute, 50, 1, version_of(0, 490_000))))  # before it
        session.write_cells(cells((source.id, 2, YESTERDAY, 1, minute, 51, 1, version_of(0, 600_000))))  # superseded
        session.write_cells(cells((source.id, 2, YESTERDAY, 1, minute, 52, 1, version_of(1, 600_000))))  # its successor
    found = [("arm_members", 0, 300), ("experiment_cells", 0, 300), ("pin_members", 51, 300), ("pin_minutes", 51, 301)]
    of_cells = [kind.table for kind in CELL_TABLES]
    none = dict.fromkeys([*of_cells, "ingest_ledger", "dead_letters"], 0)
    assert superseded(address) == (found, none | dict.fromkeys(of_cells, 1))
    seal(address, TODAY)
    assert superseded(address) == ([], none)
    of_others = ("pin_members", "arm_members", "experiment_cells")
    assert [read(address, f"SELECT count() FROM {table}")[0] for table in of_others] == [(2,)] * 3
    assert read(address, "SELECT pin_id FROM pin_engagement_1h WHERE pin_id >= 50 ORDER BY 1") == [(50,), (52,)]
    assert disagreements(address) == []


def test_numbers_taken_at_once_differ_and_later_ones_are_higher(address: ClickHouseAddress) -> None:
    def take(_: int) -> list[int]:
        with Connection(address, 30) as connection:
            return [allocate_seal_id(connection) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(take, range(4)))
    assert len({number for numbers in taken for number in numbers}) == 20
    assert all(numbers == sorted(numbers) for numbers in taken)


def hour_is_rolled_up(address: ClickHouseAddress) -> bool:
    return bool(read(address, "SELECT 1 FROM pin_hours LIMIT 1"))


def test_a_sealer_that_ends_before_its_second_look_leaves_nothing_wrong_behind(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that comes after the check and before the publication is seen by nobody but the second look."""
    published = False

    def land_and_die(sql: str) -> None:
        nonlocal published
        if published:
            raise Crash
        if sql.startswith("INSERT INTO sealed") and hour_is_rolled_up(address):
            published = True
            in_another_thread(lambda: write(address, cells((1, 1, YESTERDAY, 1, YESTERDAY + 3 * HOUR, 7, 1, 30))))

    with before_each_statement(monkeypatch, land_and_die), pytest.raises(Crash):
        seal(address, TODAY)
    assert published
    assert "hours" in disagreements(address), "the one moment that `seal` excepts from its promise"
    seal(address, TODAY)
    assert disagreements(address) == []


def test_writers_and_readers_agree_on_how_far_hours_are_sealed(address: ClickHouseAddress) -> None:
    def agree() -> bool:
        with Connection(address, 30) as connection:
            [(until,)] = connection.rows("SELECT toUnixTimestamp(sealed_until) FROM seal_state")
            return (until, 0) == sealed_and_cut(connection) and until == sealed_until(connection)

    assert agree()  # nothing is sealed
    seal(address, TODAY)
    assert agree()
    reopen_from(address, TODAY - HOUR)
    assert agree()
