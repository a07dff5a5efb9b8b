"""The top pins of any window, from lists of heavy rows: always what adding up all pins gives."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTS
from pintally.sinks.clickhouse.sealing.known_windows import Bucket, CompleteHour
from pintally.sinks.reads import known_rows
from pintally.sinks.reads.cuts import NOTHING_KNOWN, Cut, NotKept, read_cut
from pintally.sinks.reads.known_rows import KnownRows
from pintally.sinks.reads.ranking import Ranking
from pintally.sinks.reads.tops import Top, read_top
from pintally.sinks.reads.windows import FOREVER, Parts, Recent, Window, recent
from tests.sinks.known import FIRST, TABLES, TEN, Fact, cells_of, fill, hours_until, published_at, truth
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import DAY, HOUR, write
from tests.support.engines import TestEngines, tables

CUT = FIRST + DAY + 5 * HOUR + 40 * 60  # a day has begun, four hours of it are complete
CUTS = (FIRST + DAY, FIRST + DAY + 1200, CUT - HOUR, CUT)
WINDOWS: tuple[tuple[Recent | Window, Callable[[int], tuple[int, int]]], ...] = (
    (Recent.TODAY, lambda cut: (cut // DAY * DAY, cut // DAY * DAY + DAY)),
    (Recent.LAST_24H, lambda cut: ((cut - DAY) // HOUR * HOUR, FOREVER)),
    (Recent.LAST_HOUR, lambda cut: (cut - HOUR, FOREVER)),
    (Recent.LAST_TEN_MINUTES, lambda cut: (cut - TEN, FOREVER)),
    (Window(CUT - 5 * HOUR - 2400, CUT - 4 * HOUR - 2400), lambda _: (CUT - 5 * HOUR - 2400, CUT - 4 * HOUR - 2400)),
    (Window(FIRST, FIRST + DAY), lambda _: (FIRST, FIRST + DAY)),
)


def arrivals(chance: random.Random, pins: Callable[[], int], size: int = 900, late: float = 0.02) -> list[Fact]:
    """Events of 30 hours: most arrive at once, some up to an hour late, a few are replays of complete hours."""
    facts = []
    for _ in range(size):
        arrived = chance.randrange(FIRST, CUT + 2 * TEN, TEN)
        delay = (
            chance.choice((0, 0, 0, TEN, 3 * TEN, -TEN)) if chance.random() > late else chance.randrange(0, DAY, TEN)
        )
        happened = max(FIRST, arrived - delay)
        action = chance.choices(tuple(Action), (20, 30, 50))[0]
        events = chance.choice((1, 1, 1, 2, 5))
        facts.append(Fact(arrived, happened, pins(), action, events, chance.choice((0, 0, events))))
    return facts


def all_alike(chance: random.Random) -> list[Fact]:
    """Every pin has the same in every ten minutes: lists are cut between equals everywhere."""
    buckets = range(CUT - 3 * HOUR, CUT, TEN)
    return [Fact(bucket, bucket, pin, Action.SAVE) for bucket in buckets for pin in chance.sample(range(1, 15), 14)]


def one_has_all(chance: random.Random) -> list[Fact]:
    return arrivals(chance, lambda: 42)


def geometric(chance: random.Random) -> list[Fact]:
    return arrivals(chance, lambda: next(pin for pin in range(60) if chance.random() < 0.3 or pin == 59))


def flat(chance: random.Random) -> list[Fact]:
    return arrivals(chance, lambda: chance.randrange(1, 400))


def ties_at_the_last_place(_: random.Random) -> list[Fact]:
    """Pins 1 to 3 are clearly ahead, ten others are equal; one of them has all of it in rows that no list names."""
    facts = [Fact(b, b, pin, Action.SAVE, 50) for b in range(CUT - 2 * HOUR, CUT, TEN) for pin in (1, 2, 3)]
    facts += [Fact(CUT - TEN, CUT - TEN, pin, Action.SAVE, 12) for pin in range(20, 29)]
    return facts + [Fact(b, b, 10, Action.SAVE) for b in range(CUT - 2 * HOUR, CUT, TEN)]


def a_rare_action(chance: random.Random) -> list[Fact]:
    """Heavy pins are never clicked, light ones are."""
    facts = arrivals(chance, lambda: chance.randrange(1, 12))
    facts = [fact for fact in facts if fact.action is not Action.CLICK]
    return facts + [Fact(CUT - k * HOUR, CUT - k * HOUR, 500 + k % 4, Action.CLICK) for k in range(1, 30)]


def corrections_lift_a_pin(chance: random.Random) -> list[Fact]:
    """A replay gives a pin that no list names more than all others have."""
    replayed = [Fact(CUT - TEN, CUT - k * HOUR, 77, Action.SAVE, 500) for k in range(3, 30)]
    return [*geometric(chance), *replayed]


def power_law(chance: random.Random) -> list[Fact]:
    """Many pins, the first ones much ahead of the others."""
    facts = []
    for bucket in range(CUT - 3 * HOUR, CUT, TEN):
        shares = [(pin, 800 // pin) for pin in range(1, 150)] + [(chance.randrange(1000, 9000), 1) for _ in range(60)]
        facts += [Fact(bucket, bucket, pin, chance.choice(tuple(Action)), events) for pin, events in shares]
    return facts


def few_pins(chance: random.Random) -> list[Fact]:
    return arrivals(chance, lambda: chance.randrange(1, 4), size=60)


def nothing(_: random.Random) -> list[Fact]:
    return []


DISTRIBUTIONS = (
    all_alike,
    one_has_all,
    geometric,
    flat,
    ties_at_the_last_place,
    a_rare_action,
    corrections_lift_a_pin,
    few_pins,
    nothing,
)


@pytest.fixture(scope="module")
def address(engines: TestEngines) -> Iterator[ClickHouseAddress]:
    with tables(engines.addresses) as made:
        yield made


@pytest.fixture(scope="module")
def connection(address: ClickHouseAddress) -> Iterator[Connection]:
    with Connection(address, 60, only_reads=True) as opened:
        yield opened


@pytest.mark.parametrize("listed", [2, 30])
@pytest.mark.parametrize("make", DISTRIBUTIONS)
def test_the_top_is_what_adding_up_all_pins_gives(
    address: ClickHouseAddress, connection: Connection, make: Callable[[random.Random], list[Fact]], listed: int
) -> None:
    chance = random.Random(f"{make.__name__} {listed}")
    facts = make(chance)
    fill(address, facts, CUTS[0], CUT, listed)
    for window, limits in WINDOWS:
        for by in (Ranking(), Ranking(chance.choice(tuple(Action)), chance.random() < 0.5), Ranking(trusted=True)):
            cut, k = chance.choice(CUTS), chance.choice((3, 20))
            found = read_top(connection, window, by, k, as_of=published_at(cut))
            assert found.cut.moment == cut
            assert shown(found) == truth(facts, cut, *limits(cut), by, k), (window, by, k, found.certified)
        newest = read_top(connection, window, Ranking(), 5)  # the cut and its seals come in one statement
        assert newest.cut.moment == CUT
        assert shown(newest) == truth(facts, CUT, *limits(CUT), Ranking(), 5), window


def test_of_many_buckets_only_those_with_corrections_are_named(
    address: ClickHouseAddress, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = corrections_lift_a_pin(random.Random(6))
    fill(address, facts, CUTS[0], CUT, 3)
    window, limits = WINDOWS[0]
    cut = read_cut(connection)
    parts = Parts.of(recent(Recent.TODAY, CUT), cut)
    every = KnownRows.read(connection, cut, parts, live=False).correction_seals
    monkeypatch.setattr(known_rows, "NAMED", 0)
    some = KnownRows.read(connection, cut, parts, live=False).correction_seals
    assert 0 < len(some) < len(every)
    assert shown(read_top(connection, window, Ranking(), 5)) == truth(facts, CUT, *limits(CUT), Ranking(), 5)


@pytest.mark.parametrize(
    ("make", "listed", "enough"),
    [(power_law, 170, True), (power_law, 20, False), (flat, 3, None), (nothing, 3, True)],
)
def test_the_views_show_the_same_at_the_newest_cut(
    address: ClickHouseAddress,
    connection: Connection,
    make: Callable[[random.Random], list[Fact]],
    listed: int,
    enough: bool | None,
) -> None:
    facts = make(random.Random(listed))
    fill(address, facts, CUTS[0], CUT, listed)
    certified = []
    for window, limits in WINDOWS[:4]:
        names = f"pin_id, {COUNTS}, place, events, trusted, toUnixTimestamp(as_of), certified"
        rows = connection.rows(f"SELECT {names} FROM pin_top_{window} ORDER BY place")
        wanted = truth(facts, CUT, *limits(CUT), Ranking(), 100)
        assert [(pin, tuple(counts)) for pin, *counts, _, _, _, _, _ in rows] == wanted, window
        totals = [(Ranking().of(counts), Ranking(trusted=True).of(counts)) for _, counts in wanted]
        assert [row[7:11] for row in rows] == [(n, *total, CUT) for n, total in enumerate(totals, 1)]
        certified += [row[-1] for row in rows]
    assert enough is None or set(certified) <= {enough}


def test_an_answer_of_a_view_is_of_one_cut_also_if_another_is_published_meanwhile(engines: TestEngines) -> None:
    facts = flat(random.Random(1))
    cuts = [CUT - TEN, CUT]
    either = f"arrayElement({cuts}, 1 + rand() % 2)"  # another one, each time that it is read
    with tables(engines.addresses) as address, Connection(address) as connection:
        fill(address, facts, CUTS[0], CUT, 5)
        connection.execute(
            f"CREATE OR REPLACE VIEW newest_cut AS SELECT toDateTime({either}, 'UTC') AS cut,"
            f" toDateTime({hours_until(CUT)}, 'UTC') AS hours_until"
        )
        seen = set()
        for _ in range(12):
            rows = connection.rows(f"SELECT pin_id, {COUNTS}, toUnixTimestamp(as_of) FROM pin_top_1h")
            seen.add(rows[0][-1])
            wanted = truth(facts, rows[0][-1], rows[0][-1] - HOUR, FOREVER, Ranking(), 100)
            assert {(pin, tuple(counts)) for pin, *counts, _ in rows} == set(wanted)
        assert seen == set(cuts)


def test_lists_of_heavy_rows_are_enough_for_events_as_they_are(
    address: ClickHouseAddress, connection: Connection
) -> None:
    fill(address, geometric(random.Random(1)), CUTS[0], CUT, 30)
    assert all(read_top(connection, window, Ranking(), 3).certified for window in Recent)


def test_what_lists_leave_out_can_lift_a_pin_to_the_last_place(
    address: ClickHouseAddress, connection: Connection
) -> None:
    """Lists have 30 events of pin 500 and 28 of pin 600, which has 16 more in places where no list names it."""
    buckets = range(CUT - HOUR, CUT, TEN)
    facts = [Fact(at, at, pin, Action.SAVE, 50) for at in buckets for pin in range(1, 100)]
    facts += [Fact(at, at, 600, Action.SAVE, 14 if place < 2 else 4) for place, at in enumerate(buckets)]
    facts += [Fact(at, at, 500, Action.SAVE, 10) for at in buckets[2:5]]
    facts.append(Fact(buckets[5], buckets[5], 700, Action.SAVE, 5))
    fill(address, facts, CUTS[0], CUT, 100)
    found = read_top(connection, Recent.LAST_HOUR, Ranking(), 100)
    view = connection.rows("SELECT pin_id, saves, certified FROM pin_top_1h ORDER BY place")
    assert (found.certified, found.pins[-1].pin_id, found.pins[-1].counts[0]) == (True, 600, 44)
    assert view[-1] == (600, 44, True)


def test_a_pin_that_a_list_leaves_out_is_first_among_equals_if_its_number_is(
    address: ClickHouseAddress, connection: Connection
) -> None:
    facts = [Fact(CUT - TEN, CUT - TEN, pin, Action.SAVE, 10) for pin in (*range(2, 102), 1)]
    fill(address, facts, CUTS[0], CUT, 100)
    for pins in (
        [pin.pin_id for pin in read_top(connection, Recent.LAST_HOUR, Ranking(), 100).pins],
        [pin for (pin,) in connection.rows("SELECT pin_id FROM pin_top_1h ORDER BY place")],
    ):
        assert pins == list(range(1, 101))


def test_lists_are_not_enough_where_a_pin_in_none_of_them_may_have_as_much(
    address: ClickHouseAddress, connection: Connection
) -> None:
    fill(address, ties_at_the_last_place(random.Random(1)), CUTS[0], CUT, 3)
    three, four = (read_top(connection, Recent.LAST_HOUR, Ranking(Action.SAVE), k) for k in (3, 4))
    assert (three.certified, four.certified) == (True, False)
    assert [pin.pin_id for pin in four.pins] == [1, 2, 3, 20]


def test_thousands_of_pins_that_lists_leave_out_are_asked_for_in_several_statements(
    address: ClickHouseAddress, connection: Connection
) -> None:
    pins = range(17 * 10**18, 17 * 10**18 + 14_000)  # of twenty digits; each list has every other one of them
    facts = [
        Fact(bucket, bucket, pin, Action.SAVE, 100 if pin % 2 == number else 1)
        for number, bucket in enumerate((CUT - 2 * TEN, CUT - TEN))
        for pin in pins
    ]
    fill(address, facts, CUTS[0], CUT, 7_000)
    found = read_top(connection, Recent.LAST_HOUR, Ranking(), 1_500)
    assert found.certified
    assert shown(found) == truth(facts, CUT, CUT - HOUR, FOREVER, Ranking(), 1_500)


def test_before_the_first_cut_nothing_is_known(address: ClickHouseAddress, connection: Connection) -> None:
    fill(address, geometric(random.Random(1)), CUTS[0], CUT)
    before = read_top(connection, Recent.TODAY, as_of=datetime.fromtimestamp(CUTS[0], UTC))
    assert (before.cut, before.pins) == (NOTHING_KNOWN, ())


def test_what_is_not_kept_any_more_is_refused_and_not_half_an_answer(
    address: ClickHouseAddress, connection: Connection
) -> None:
    fill(address, geometric(random.Random(1)), CUTS[0], CUT)
    old = CUT - 100 * DAY
    with Connection(address) as writer:
        names = ("cut", "hours_until", "published_at", "seal")
        writer.insert("cuts", names, [(old, hours_until(old), published_at(old), 0)])
    with pytest.raises(NotKept, match="is not kept any more"):
        read_top(connection, Recent.TODAY, as_of=published_at(old))
    with pytest.raises(NotKept, match="by pin and hour"):
        read_top(connection, Window(old // DAY * DAY, old // DAY * DAY + DAY))
    assert read_cut(connection).moment == CUT


def test_the_newest_cut_is_taken_as_it_was_first_published(address: ClickHouseAddress, connection: Connection) -> None:
    fill(address, geometric(random.Random(1)), CUTS[0], CUT)
    again = published_at(CUT) + timedelta(seconds=1)
    with Connection(address) as writer:
        writer.insert("cuts", ("cut", "hours_until", "published_at", "seal"), [(CUT, CUT - 9 * HOUR, again, 0)])
    assert read_cut(connection) == read_cut(connection, again) == Cut(CUT, hours_until(CUT), published_at(CUT))


def test_it_is_so_after_sealing(
    address: ClickHouseAddress, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bucket, "tops", replace(Bucket.tops, length=4))
    monkeypatch.setattr(CompleteHour, "tops", replace(CompleteHour.tops, length=6))
    chance = random.Random(3)
    first, until = CUT - 5 * HOUR, CUT - 2 * HOUR
    facts = [fact for fact in [*geometric(chance), *flat(chance)] if first <= fact.happened and fact.arrived < until]
    with Connection(address) as writer:
        for table in (*TABLES, "pin_minutes"):
            writer.execute(f"TRUNCATE TABLE {table}")
    assert sealed(address, cells_of(facts), until=until)
    certified = set()
    for window in (*Recent, Window(first // HOUR * HOUR + HOUR, first // HOUR * HOUR + 2 * HOUR)):
        for by, k in ((Ranking(), 2), (Ranking(Action.SAVE), 1), (Ranking(Action.CLICK, trusted=True), 9)):
            found = read_top(connection, window, by, k)
            assert found.cut == Cut(until, hours_until(until), found.cut.published_at)
            assert shown(found) == truth(facts, until, found.window.start, found.window.end, by, k), (window, by, k)
            certified.add(found.certified)
    assert certified == {False, True}


def test_live_adds_what_was_flushed_after_the_cut(address: ClickHouseAddress, connection: Connection) -> None:
    now = connection.one("SELECT toUnixTimestamp(now('UTC'))")[0] // TEN * TEN
    facts = [Fact(now - (n % 9) * TEN, now - (n % 9) * TEN, 1 + n % 5, Action.CLICK, 1 + n) for n in range(40)]
    with Connection(address) as writer:
        for table in (*TABLES, "pin_minutes"):
            writer.execute(f"TRUNCATE TABLE {table}")
    everything = now + DAY
    before = read_top(connection, Recent.LAST_HOUR, Ranking(), 3, live=True)
    write(address, cells_of(facts))
    unsealed = read_top(connection, Recent.LAST_HOUR, Ranking(), 3, live=True)
    sealed(address, until=now - 2 * TEN)
    known, live = (read_top(connection, Recent.LAST_HOUR, Ranking(), 3, live=live) for live in (False, True))
    assert before.pins == ()
    for found in (unsealed, live):
        assert shown(found) == truth(facts, everything, found.window.start, FOREVER, Ranking(), 3)
    assert shown(known) == truth(facts, now - 2 * TEN, known.window.start, FOREVER, Ranking(), 3) != shown(live)


def shown(top: Top) -> list[tuple[int, tuple[int, ...]]]:
    return [(pin.pin_id, (*pin.counts, *pin.trusted)) for pin in top.pins]
