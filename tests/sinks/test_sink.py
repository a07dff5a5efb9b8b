"""One suite for every sink: the one in memory earns its place by passing it beside ClickHouse."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.label_column import LabelColumn
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import (
    NO_EPOCH,
    DeadLetterRow,
    LedgerRow,
    LostKind,
    LostRow,
    Newest,
    SliceSum,
    StartRow,
    version_of,
)
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse import array_blocks
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.maintenance import MaintainedSink as Sink
from pintally.streams.counting.slices import cut as cut_slices
from pintally.streams.settings import Settings
from tests.support.all_cells import all_cells
from tests.support.cells import broken_down, cells, rows_of
from tests.support.memory_sink import MemorySink

pytestmark = pytest.mark.engines

HOUR = int(time.time()) // 3600 * 3600 - 7200
Address = Callable[[], ClickHouseAddress]


@pytest.fixture(params=["memory", "clickhouse"])
def sink(request: pytest.FixtureRequest) -> Iterator[Sink]:
    if request.param == "memory":
        yield MemorySink()
        return
    settings: Settings = request.getfixturevalue("settings")
    address = settings.clickhouse
    migrate(address)
    try:
        yield ClickHouseSink(address)
    finally:
        with Connection(address, 30, database="") as connection:
            connection.execute(f"DROP DATABASE `{address.database}`")


def source(partition: int = 0) -> Source:
    return Source("engagement.save.v1", uuid4(), partition)


def start(of: Source, offset: int, epoch: int = 0) -> StartRow:
    return StartRow(of, epoch, offset, 5, Rules().to_json())


def ledger(of: Source, slice_block: int, position: int, epoch: int = 0) -> LedgerRow:
    counted = position - slice_block * 100
    row_start = slice_block * 100
    outcomes = Outcomes(counted=counted)
    return LedgerRow(of, slice_block, HOUR, row_start, 7, position, 9, outcomes, counted, epoch, "a1b2")


def test_the_highest_version_of_a_cell_wins_whatever_came_last(sink: Sink) -> None:
    with sink.session() as session:
        session.write_cells(cells((1, 0, HOUR, 1, HOUR, 7, 30, 300)))
        session.write_cells(cells((1, 0, HOUR, 1, HOUR, 7, 10, 100), (1, 0, HOUR, 2, HOUR, 7, 2, 100)))
    assert rows_of(all_cells(sink)) == [(1, 0, HOUR, 1, HOUR, 7, 30, 300), (1, 0, HOUR, 2, HOUR, 7, 2, 100)]


def test_of_equal_versions_the_last_insert_wins(sink: Sink) -> None:
    with sink.session() as session:
        session.write_cells(cells((1, 0, HOUR, 1, HOUR, 7, 30, 300)))
        session.write_cells(cells((1, 0, HOUR, 1, HOUR, 7, 31, 300)))
    assert rows_of(all_cells(sink)) == [(1, 0, HOUR, 1, HOUR, 7, 31, 300)]


def test_each_part_of_the_key_keeps_cells_apart(sink: Sink) -> None:
    one = (1, 0, HOUR, 1, HOUR, 7)
    others = [(2, 0, HOUR, 1, HOUR, 7), (1, 1, HOUR, 1, HOUR, 7), (1, 0, HOUR + 600, 1, HOUR, 7)]
    others += [(1, 0, HOUR, 2, HOUR, 7), (1, 0, HOUR, 1, HOUR + 60, 7), (1, 0, HOUR, 1, HOUR, 8)]
    labels = [("home", "unknown"), ("unknown", "home")]
    with sink.session() as session:
        session.write_cells(cells(*((*key, 1, 1) for key in [one, *others])))
        session.write_cells(cells(*((*one, 1, 1, *each, 1) for each in labels)))
    assert len(all_cells(sink)) == 9


HOSTILE_LABELS = [
    "a'b\\",
    "\x00\n\t",
    'quoted "',
    "{x:String} %(a)s ?",
    "\u2028\ufeff\U0001f4cc",
    "None",
    "nan",
    "x" * 64,
    " ",
]


@pytest.mark.parametrize("labels", [2, 256, 257, 70_000])
def test_labels_come_back_as_they_were_however_many_there_are(
    sink: Sink, labels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks that are small, so that an insert has several, each with all labels."""
    monkeypatch.setattr(array_blocks, "BLOCK_ROWS", 100)
    names = (*HOSTILE_LABELS, *(f"label {n}" for n in range(labels)))[:labels]
    n = 250
    number = np.linspace(0, labels - 1, n).astype(np.uint32)
    written = PinMinuteRows(
        source=np.full(n, 1, np.uint64), slice_block=np.zeros(n, np.uint32), arrived_at=np.full(n, HOUR, np.uint32),
        version=np.full(n, 9, np.uint64), action=np.full(n, 1, np.uint8), minute=np.full(n, HOUR, np.uint32),
        pin_id=np.arange(n, dtype=np.uint64), surface=LabelColumn(number, names),
        platform=LabelColumn(number[::-1], names), events=np.full(n, 3, np.uint64), trusted=np.full(n, 2, np.uint64),
    )  # fmt: skip
    with sink.session() as session:
        session.write_cells(written)
    found = all_cells(sink)
    assert broken_down(found) == broken_down(written)
    assert (found.surface, found.platform) == (written.surface, written.platform)


def test_the_largest_numbers_survive(sink: Sink) -> None:
    row = (2**64 - 1, 2**32 - 1, HOUR, 3, HOUR, 2**64 - 1, 2**63, version_of(2**15, 2**48 - 1))
    with sink.session() as session:
        session.write_cells(cells(row))
    assert rows_of(all_cells(sink)) == [row]


def test_writing_nothing_is_allowed(sink: Sink) -> None:
    with sink.session() as session:
        session.write_starts([])
        session.write_cells(cells())
        session.write_dead_letters([])
        session.write_ledger([])
        assert not session.read_ledgers([])
        assert not session.read_back([])
    assert len(all_cells(sink)) == 0
    assert not list(sink.known_sources())


versions = st.integers(1, 3)
rows = st.tuples(st.integers(1, 2), st.integers(7, 8), versions)  # action, pin, version; the count follows from it


@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(rows, max_size=4), min_size=1, max_size=4), seed=st.randoms(use_true_random=False))
def test_the_order_of_inserts_and_repeating_them_change_nothing(
    sink: Sink, batches: list[list[tuple[int, int, int]]], seed: Random
) -> None:
    ordered, shuffled = next(counter), next(counter)
    repeated = batches + seed.sample(batches, len(batches) // 2)
    seed.shuffle(repeated)
    with sink.session() as session:
        for owner, run in ((ordered, batches), (shuffled, repeated)):
            for batch in run:
                session.write_cells(cells(*((owner, 0, HOUR, a, HOUR, p, 10 * v, v) for a, p, v in batch)))
    found = rows_of(all_cells(sink))
    assert [row[1:] for row in found if row[0] == ordered] == [row[1:] for row in found if row[0] == shuffled]


counter = itertools.count(1)


def test_the_lowest_start_of_an_epoch_wins(sink: Sink) -> None:
    one, other = source(0), source(1)
    with sink.session() as session:
        session.write_starts([start(one, 50), start(one, 30), start(one, 40)])
        session.write_starts([start(one, 90, epoch=1), start(other, 3)])
        session.write_starts([start(one, 30), start(one, 60)])
        found = session.read_ledgers([one, other])
    assert found[one].starts == (start(one, 30), start(one, 90, epoch=1))
    assert found[other].starts == (start(other, 3),)
    assert list(sink.known_sources()) == [one, other]


def test_the_highest_epoch_that_is_claimed_for_two_sets_of_rules_is_disputed(sink: Sink) -> None:
    one, other = source(0), source(1)
    rules = Rules(trusted_cap=7).to_json()
    with sink.session() as session:
        for _ in range(2):
            session.write_claims([start(one, 0), start(one, 9), start(one, 0, epoch=3), start(other, 0, epoch=2)])
        assert session.read_ledgers([one])[one].disputed == NO_EPOCH
        session.write_claims([replace(start(one, 0, epoch), rules=rules) for epoch in (1, 0, 2)])
        found = session.read_ledgers([one, other])
    assert (found[one].disputed, found[other].disputed) == (0, NO_EPOCH)
    assert found[one].starts == () == tuple(sink.known_sources())


def test_of_equal_start_rows_the_last_stays(sink: Sink) -> None:
    """Why their rules must not differ (C12)."""
    one = source(0)
    rows = [start(one, 5), replace(start(one, 5), rules=Rules(trusted_cap=7).to_json())]
    with sink.session() as session:
        for row in rows:
            session.write_starts([row])
        if isinstance(sink, ClickHouseSink):
            with Connection(sink.address) as connection:
                connection.execute("OPTIMIZE TABLE ingest_starts FINAL")
        assert session.read_ledgers([one])[one].starts == (rows[1],)


def test_the_newest_ledger_row_of_each_slice_is_read_by_start(sink: Sink) -> None:
    one, other = source(0), source(1)
    with sink.session() as session:
        session.write_ledger([ledger(one, 1, 150), ledger(one, 0, 100)])
        session.write_ledger([ledger(one, 1, 120), ledger(other, 0, 10)])
        found = session.read_ledgers([one, other])
    assert found[one].rows == (ledger(one, 0, 100), ledger(one, 1, 150))
    assert found[other].rows == (ledger(other, 0, 10),)


def test_a_higher_epoch_wins_over_a_higher_position(sink: Sink) -> None:
    one = source()
    with sink.session() as session:
        session.write_ledger([ledger(one, 0, 20, epoch=1), ledger(one, 0, 90)])
        assert session.read_ledgers([one])[one].rows == (ledger(one, 0, 20, epoch=1),)
        assert session.read_back([one]) == {one: Newest(None, version_of(1, 20))}


def test_what_is_read_back_is_the_highest_epoch_and_version_of_every_source(sink: Sink) -> None:
    one, other, unknown = source(0), source(1), source(2)
    with sink.session() as session:
        session.write_starts([start(one, 0), start(one, 100, epoch=2), start(one, 50, epoch=1)])
        session.write_starts([start(other, 0)])
        session.write_ledger([ledger(one, 0, 20), ledger(one, 3, 320), ledger(one, 1, 150)])
        found = session.read_back([one, other, unknown])
        assert found == {one: Newest(2, 320), other: Newest(0, None), unknown: Newest(None, None)}
        assert session.read_ledgers([other])[other].rows == ()


def test_a_session_that_has_ended_stays_ended(sink: Sink) -> None:
    with sink.session() as session:
        session.read_back([])
    with pytest.raises(SinkUnavailable):
        session.write_cells(cells((1, 0, HOUR, 1, HOUR, 7, 1, 1)))


def test_a_sink_has_a_clock_of_its_own_that_goes_on(sink: Sink) -> None:
    """On this machine it is the same as ours."""
    before = time.time_ns() // 1_000_000
    with sink.session() as session:
        first, second = session.read_clock(), session.read_clock()
        session.reopen_early(3600)  # where nothing is sealed there is nothing to open
    assert before <= first <= second <= time.time_ns() // 1_000_000


def test_what_was_lost_is_kept_with_its_source_and_once(sink: Sink) -> None:
    one, other = source(0), source(1)
    rows = [
        LostRow(one, 1, LostKind.TRIMMED, 7, 9, "who kept it for an hour"),
        LostRow(one, 2, LostKind.TRUNCATED, 3, 2**48, "näh'"),
    ]
    with sink.session() as session:
        session.write_lost(rows)
        session.write_lost(rows[::-1])
        found = session.read_ledgers([one, other])
    assert (found[one].lost, found[other].lost) == (tuple(rows), ())


def letter(of: Source, offset: int, outcome: str = "late", epoch: int = 0) -> DeadLetterRow:
    return DeadLetterRow(of, offset, 5, outcome, "a reason", b"k", b"\xff", (("h", None),), epoch)


def test_dead_letters_are_found_by_offset_and_deleted_one_by_one(sink: Sink) -> None:
    one, other = source(0), source(1)
    with sink.session() as session:
        session.write_dead_letters([letter(one, offset, "invalid" if offset % 2 else "late") for offset in range(9)])
        session.write_dead_letters([letter(other, 3)])
        late, invalid = session.letter_offsets(one)
        assert (late.tolist(), invalid.tolist()) == ([0, 2, 4, 6, 8], [1, 3, 5, 7])
        assert list(session.read_dead_letters(one, 2, 4)) == [letter(one, 2), letter(one, 3, "invalid")]
        session.delete_letters(one, [3, 4, 99])
        session.delete_letters(one, [])
        assert [each.offset for each in session.read_dead_letters(one, 0, 99)] == [0, 1, 2, 5, 6, 7, 8]
        assert [each.offset for each in session.read_dead_letters(other, 0, 99)] == [3]


def test_dead_letters_of_a_lower_epoch_are_superseded_from_an_epoch_start_on_whenever_they_come(sink: Sink) -> None:
    one, other = source(0), source(1)
    with sink.session() as session:
        session.write_starts([start(each, 0) for each in (one, other)])
        session.write_dead_letters([letter(each, offset) for each in (one, other) for offset in range(9)])
        session.write_starts([start(one, 5, epoch=1)])
        session.write_dead_letters([letter(one, offset, "invalid", epoch=1) for offset in (6, 8)])
        session.write_dead_letters([letter(one, offset) for offset in (4, 6, 7)])  # of a worker that was believed dead
        found = session.read_dead_letters(one, 0, 99)
        assert [each.epoch for each in found if each.offset in (4, 6, 8)] == [0, 1, 1]
        assert session.letter_offsets(one)[1].tolist() == [6, 8]
        for _ in range(2):
            session.delete_superseded()
            assert [(each.offset, each.epoch) for each in session.read_dead_letters(one, 0, 99)] == [
                *((offset, 0) for offset in range(5)),
                (6, 1),
                (8, 1),
            ]
        assert len(session.read_dead_letters(other, 0, 99)) == 9


def test_cells_are_read_added_up_and_deleted_slice_by_slice(sink: Sink) -> None:
    one, other = source(0), source(1)
    newer = version_of(1, 5)
    mine = [(one.id, 0, HOUR, 1, HOUR, 7, 3, 30), (one.id, 0, HOUR, 1, HOUR, 8, 4, newer)]
    rest = [(one.id, 1, HOUR, 1, HOUR, 7, 5, 40), (other.id, 0, HOUR, 1, HOUR, 7, 6, 50)]
    with sink.session() as session:
        session.write_cells(cells((one.id, 0, HOUR, 1, HOUR, 7, 1, 10)))
        session.write_cells(cells(*mine, *rest))
        assert session.slice_sums(one) == {
            (0, HOUR): SliceSum({"pin_minutes": 7}, newer, 30),
            (1, HOUR): SliceSum({"pin_minutes": 5}, 40, 40),
        }
        assert sorted(rows_of(session.read_slice(PinMinuteRows, one, 0, HOUR))) == mine
        assert len(session.read_slice(PinMinuteRows, one, 9, HOUR)) == 0
        session.delete_cells(one, 0, HOUR, epoch=1)
        assert rows_of(session.read_slice(PinMinuteRows, one, 0, HOUR)) == mine[:1]
        session.delete_cells(one, 0, HOUR)
    assert sorted(rows_of(all_cells(sink))) == sorted(rest)


def test_a_ledger_row_is_deleted_by_its_version(sink: Sink) -> None:
    one = source()
    with sink.session() as session:
        session.write_ledger([ledger(one, 0, 90), ledger(one, 1, 150)])
        session.delete_ledger([ledger(one, 0, 80), ledger(one, 1, 150)])
        assert session.read_ledgers([one])[one].rows == (ledger(one, 0, 90),)


def test_a_source_is_forgotten_without_the_others(sink: Sink) -> None:
    one, other = source(0), source(1)
    with sink.session() as session:
        for each in (one, other):
            session.write_cells(cells((each.id, 0, HOUR, 1, HOUR, 7, 3, 30)))
            session.write_ledger([ledger(each, 0, 90)])
            session.write_dead_letters([letter(each, 3)])
        session.forget(one)
        found = session.read_ledgers([one, other])
        assert (found[one].rows, found[other].rows) == ((), (ledger(other, 0, 90),))
        assert (session.slice_sums(one), len(session.slice_sums(other))) == ({}, 1)
        assert (session.read_dead_letters(one, 0, 9), len(session.read_dead_letters(other, 0, 9))) == ([], 1)


@pytest.mark.parametrize("seed", range(3))
def test_superseded_is_what_an_older_epoch_says_of_slices_from_an_epoch_start_on(sink: Sink, seed: int) -> None:
    """C19, for sources with epoch starts of all kinds; every epoch has folded on to the log's end."""
    histories = [History(source(number), Random(seed * 1000 + number)) for number in range(40)]
    with sink.session() as session:
        session.write_starts([row for history in histories for row in history.starts])
        session.write_lost([row for history in histories for row in history.lost])
        session.write_cells(cells(*(row for history in histories for row in history.cells)))
        session.write_ledger([row for history in histories for row in history.ledger])
        session.delete_superseded()
        found = session.read_ledgers([history.source for history in histories])
    left = {row[:6] for row in rows_of(all_cells(sink))}
    for history in histories:
        assert {row for row in left if row[0] == history.source.id} == {row[:6] for row in history.valid_cells}
        assert set(found[history.source].rows) == set(history.valid_rows)


class History:
    """A source whose rules were changed, and of which offsets were given up, some times; a cell a slice."""

    def __init__(self, of: Source, rng: Random) -> None:
        self.source = of
        self.starts: list[StartRow] = []
        self.lost: list[LostRow] = []
        self._slices: list[tuple[int, int, int, int, int]] = []  # epoch, slice_block, arrived_at, start, end
        end = rng.randint(50, 300)
        stream_times, stream_time = [], HOUR * 1000
        for _ in range(end):
            stream_time += rng.choice([0, 0, 0, 60_000, ARRIVAL_BUCKET_MS])
            stream_times.append(stream_time)
        size, at, before, cut = rng.choice([7, 20, 50]), 0, 0, False
        for epoch in range(rng.randint(1, 4)):
            rules = Rules(slice_records=size)
            self.starts.append(StartRow(of, epoch, at, before, rules.to_json()))
            if cut:
                self.lost.append(LostRow(of, epoch, LostKind.TRIMMED, max(0, at - 3), at, ""))
            offsets = np.arange(at, end)
            run = np.maximum(np.array(stream_times[at:], np.int64), before)
            pieces = list(cut_slices(at, end, offsets, run, before, size))
            self._slices += [
                (epoch, piece.slice_id.slice_block, piece.slice_id.arrived_at_seconds, piece.start, piece.end)
                for piece in pieces
            ]
            cut = rng.random() < 0.4
            if cut:
                at = rng.randint(at, end - 1)
                last = max((p for p in pieces if p.start < at), key=lambda p: p.start, default=None)
                before = last.stream_time if last else before
                if last and last.slice_id.slice_block == at // size:  # as `accept-loss` does: a name of its own
                    before = max(before, (last.slice_id.bucket + 1) * ARRIVAL_BUCKET_MS)
            else:
                lowest = rng.choice(self._slices)  # an epoch start may lie below the one before
                known = [p for p in pieces if p.start >= lowest[3]] or pieces
                at, before = rng.choice([(p.start, p.stream_time_before) for p in known])
                size = rng.choice([size, max(1, size - rng.randint(0, 5))])

    def _is_superseded(self, epoch: int, start: int, position: int) -> bool:
        cuts = {row.epoch for row in self.lost}
        above = [row for row in self.starts if row.epoch > epoch]
        return any(start >= row.start or (row.epoch in cuts and position > row.start) for row in above)

    @property
    def cells(self) -> list[tuple[int, ...]]:
        return [self._cell(*piece) for piece in self._slices]

    @property
    def valid_cells(self) -> list[tuple[int, ...]]:
        return [self._cell(*piece) for piece in self._slices if not self._is_superseded(piece[0], *piece[3:])]

    @property
    def ledger(self) -> list[LedgerRow]:
        return [self._row(*piece) for piece in self._slices]

    @property
    def valid_rows(self) -> list[LedgerRow]:
        return [self._row(*piece) for piece in self._slices if not self._is_superseded(piece[0], piece[3], 0)]

    def _cell(self, epoch: int, slice_block: int, arrived_at: int, start: int, end: int) -> tuple[int, ...]:
        # Its pin tells epoch and slice: cells of the same name must not replace each other here.
        pin = epoch * 1000 + start
        return self.source.id, slice_block, arrived_at, 1, HOUR, pin, end - start, version_of(epoch, end)

    def _row(self, epoch: int, slice_block: int, arrived_at: int, start: int, end: int) -> LedgerRow:
        return LedgerRow(
            self.source, slice_block, arrived_at, start, 0, end, 0, Outcomes(end - start), end - start, epoch, "r"
        )


HOSTILE = DeadLetterRow(
    source=Source("engagement.save.v1", UUID(int=1), 0),
    offset=9,
    timestamp=-1,
    outcome="invalid",
    reason="nicht gültig: \ud800",
    key=b"\xff\x00\xfe",
    value=b"\x80{not json\x00'\\",
    headers=(("trace", b"\xc3\x28"), ("none", None), ("trace", b""), ("\udcff", b"x")),
)


def test_dead_letters_keep_their_bytes_and_are_unique_by_origin(settings: Settings) -> None:
    migrate(settings.clickhouse)
    tombstone = DeadLetterRow(HOSTILE.source, 10, 5, "late", "late by 3 s", None, None, ())
    with ClickHouseSink(settings.clickhouse).session() as session:
        session.write_dead_letters([HOSTILE, tombstone])
        session.write_dead_letters([HOSTILE])
    with Connection(settings.clickhouse, 30) as connection:
        found = connection.execute(
            "SELECT offset, timestamp, toString(outcome), key, value, headers FROM dead_letters FINAL ORDER BY offset",
            settings={"strings_as_bytes": True},
        )
        connection.execute(f"DROP DATABASE `{settings.clickhouse.database}`")
    headers = [(b"trace", b"\xc3\x28"), (b"none", None), (b"trace", b""), (b"\xff", b"x")]
    assert found == [(9, -1, b"invalid", HOSTILE.key, HOSTILE.value, headers), (10, 5, b"late", None, None, [])]


def test_memory_keeps_dead_letters_unique_by_origin() -> None:
    sink = MemorySink()
    with sink.session() as session:
        session.write_dead_letters([HOSTILE])
        session.write_dead_letters([HOSTILE])
    assert list(sink.dead_letters.values()) == [HOSTILE]
