"""An aggregate more, defined in this file alone: counted, flushed, restored, deleted, repaired and recounted.

It counts events a minute, of all pins together. `CELL_TABLES` and the two lists `AGGREGATES` are all that it is
registered in; no other file knows of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pintally.audit import aggregates as audited
from pintally.audit.aggregates.aggregate import COUNT, NAME
from pintally.audit.cells import Cells, Counts
from pintally.audit.contract import ACTIONS
from pintally.audit.findings import Finding, Kind
from pintally.audit.rules import MINUTE_MS
from pintally.audit.words import utc
from pintally.schemas.actions import Action
from pintally.schemas.cells import CELL_TABLES, CellRows, PinMinuteRows
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import EPOCH_SHIFT, LedgerRow, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.sinks.clickhouse.sink import ClickHouseSession, ClickHouseSink
from pintally.streams.counting import aggregates
from pintally.streams.counting.aggregates import Aggregate, PinMinutes, SliceVersion
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.pending import SliceState
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.counting.slices import Base, Piece, SliceId
from pintally.streams.operations.change.restamp import Restamp, restamp
from pintally.streams.operations.repair.choice import Choice
from pintally.streams.worker.flush import write
from tests.audit.test_verify import (  # noqa: F401 - fixtures
    RECORDS,
    RULES,
    Flusher,
    exact,
    flusher,
    hurried,
    kinds,
    settings,
    shown,
)
from tests.operations.test_repair_on_engines import repair_all

TABLE = """
CREATE TABLE action_minutes
(
    source UInt64, slice_block UInt32, arrived_at DateTime('UTC'), action UInt8, minute DateTime('UTC'), events UInt64,
    version UInt64
)
ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMMDD(minute)
ORDER BY (minute, action, source, slice_block, arrived_at) TTL minute + INTERVAL 90 DAY
"""


@dataclass(frozen=True, slots=True)
class ActionMinuteRows(CellRows):
    """Counted events a minute and action."""

    table: ClassVar[str] = "action_minutes"
    key: ClassVar[tuple[str, ...]] = ("action", "minute")
    window: ClassVar[str] = "minute"

    action: NDArray[np.uint8]
    minute: NDArray[np.uint32]
    events: NDArray[np.uint64]


class ActionMinutes:
    """The events of one slice by minute; see Aggregate."""

    rows: ClassVar[type[CellRows]] = ActionMinuteRows

    def __init__(self, _: Rules, check_sum: int = 0, keys: UserKeys = NO_KEYS) -> None:  # noqa: ARG002
        self.sum = check_sum
        self._counts: Counter[int] = Counter()
        self._dirty: set[int] = set()
        self._in_flight: set[int] = set()

    @classmethod
    def is_counted(cls, rules: Rules) -> bool:
        return rules.trusted_cap > 0

    @property
    def pending(self) -> int:
        return len(self._dirty | self._in_flight)

    @property
    def nbytes(self) -> int:
        return 100 * len(self._counts)

    def add(self, judged: Judged, at: NDArray[np.intp]) -> None:
        minutes = judged.minutes[at].tolist()
        self._counts.update(minutes)
        self._dirty.update(minutes)
        self.sum += len(minutes)

    def take_dirty(self, at: SliceVersion) -> ActionMinuteRows:
        minutes, self._in_flight, self._dirty = sorted(self._dirty), self._dirty, set()
        return ActionMinuteRows(
            **at.columns(len(minutes)),
            action=np.full(len(minutes), at.action, np.uint8),
            minute=np.array([minute * 60 for minute in minutes], np.uint32),
            events=np.array([self._counts[minute] for minute in minutes], np.uint64),
        )

    def mark_flushed(self) -> None:
        self._in_flight = set()

    def merge_back(self) -> None:
        self._dirty, self._in_flight = self._dirty | self._in_flight, set()

    def end(self) -> None:
        """Nothing to give back."""


class AuditedActionMinutes:
    """The same for the audit. A key is action and minute."""

    table, value, columns = "action_minutes", "events", "action, toUInt32(minute)"
    trusted = "events"
    layout = np.dtype([*NAME, ("action", "u1"), ("minute", "<u4"), *COUNT])

    def cells_of(self, counts: Counts) -> Cells:
        minutes = (counts.events.occurred_at // MINUTE_MS * 60).astype(np.uint32)
        actions = np.full(len(minutes), counts.action, np.uint8)
        return Cells.of((actions, minutes), counts.offsets, np.ones(len(minutes), np.bool_))

    def number(self, *key: Any) -> int:
        return int(key[0]) << 32 | int(key[1])

    def start_of(self, key: int) -> int:
        return key & 0xFFFFFFFF

    def describe(self, about: Finding, key: int, _: Callable[[bytes], str]) -> Finding:
        return replace(about, table=self.table, action=ACTIONS[key >> 32], minute=utc(self.start_of(key)))


@contextmanager
def registered() -> Iterator[None]:
    lists: tuple[tuple[list[Any], Any], ...] = (
        (CELL_TABLES, ActionMinuteRows),
        (aggregates.AGGREGATES, ActionMinutes),
        (audited.AGGREGATES, AuditedActionMinutes()),
    )
    for known, each in lists:
        known.append(each)
    try:
        yield
    finally:
        for known, each in lists:
            known.remove(each)


class HalfACellWrite(ClickHouseSession):
    """A session that loses its connection after the first aggregate's cells."""

    def write_cells(self, *tables: CellRows) -> None:
        super().write_cells(tables[0])
        raise SinkUnavailable("the connection broke", "Wait.")


class NoLedgerWrite(ClickHouseSession):
    """A session that writes every cell, and loses its connection before the ledger."""

    def write_ledger(self, _: Sequence[LedgerRow]) -> None:
        raise SinkUnavailable("the connection broke", "Wait.")


class FailingSink(ClickHouseSink):
    """A sink whose flushes fail half way."""

    def __init__(self, flusher: Flusher, kind: type[ClickHouseSession]) -> None:  # noqa: F811 - a fixture's name too
        super().__init__(flusher.settings.clickhouse)
        self.kind = kind

    @contextmanager
    def session(self) -> Iterator[ClickHouseSession]:
        with super().session() as session:
            yield self.kind(session.connection)


class Counting:
    """A worker's part: the fold of one source, and its flushes."""

    def __init__(self, flusher: Flusher, fold: SourceFold) -> None:  # noqa: F811
        self.flusher, self.folded = flusher, fold
        self.records = list(flusher.read())

    @classmethod
    def begin(cls, flusher: Flusher) -> "Counting":  # noqa: F811
        """Write the start row."""
        with flusher.sink.session() as session:
            session.write_starts([StartRow(flusher.source, 0, 0, 0, RULES.to_json())])
        return cls(flusher, SourceFold(flusher.source, Action.SAVE, RULES, 0, Base(0, 0, 0, 0)))

    @classmethod
    def restore(cls, flusher: Flusher) -> "Counting":  # noqa: F811
        """Begin where the ledger says, as a worker does after a crash."""
        with flusher.sink.session() as session:
            chain = follow(session.read_ledgers([flusher.source])[flusher.source])
        fold = SourceFold(flusher.source, Action.SAVE, chain.rules, 0, base_of(chain), chain.version)
        return cls(flusher, fold)

    def fold(self, until: int) -> "Counting":
        """Fold the log up to an offset."""
        records = [record for record in self.records if self.folded.position <= record.offset < until]
        self.folded.fold(self.flusher._chunk(self.folded.position, until, records))
        return self

    def flush(self, sink: ClickHouseSink | None = None) -> None:
        """One flush, as the worker writes it."""
        capture = self.folded.capture()
        assert capture
        try:
            write(sink or self.flusher.sink, [self.folded], [capture])
        except SinkUnavailable:
            self.folded.merge_back(capture)
            raise
        self.folded.acknowledge(capture)


@pytest.fixture
def log(flusher: Flusher) -> Iterator[Flusher]:  # noqa: F811
    """A log, and a database that has the table."""
    flusher.produce()
    flusher.sql(TABLE)
    with registered():
        yield flusher


def minutes(log: Flusher) -> list[tuple[Any, ...]]:
    """The table as readers see it."""
    return log.sql("SELECT action, minute, sum(events) FROM action_minutes FINAL GROUP BY action, minute ORDER BY ALL")


def pin_minutes(log: Flusher) -> list[tuple[Any, ...]]:
    """What pin-minutes say of the same."""
    return log.sql("SELECT action, minute, sum(events) FROM pin_minutes FINAL GROUP BY action, minute ORDER BY ALL")


def test_it_fulfils_the_contract() -> None:
    kind: type[Aggregate] = ActionMinutes
    assert kind.rows.columns()["minute"] is np.uint32
    assert ActionMinuteRows.values() == ["events"]


def test_it_is_counted_flushed_merged_back_restored_and_recounted(log: Flusher) -> None:
    counting = Counting.begin(log)
    counting.fold(250).flush()
    with pytest.raises(SinkUnavailable):
        counting.fold(430).flush(FailingSink(log, HalfACellWrite))
    counting.fold(510).flush()  # merged back: what failed, and what came since
    exact(log.verify())
    with pytest.raises(SinkUnavailable):
        counting.fold(640).flush(FailingSink(log, NoLedgerWrite))  # and then it crashes
    restored = Counting.restore(log)
    restored.fold(RECORDS).flush()
    report = log.verify()
    exact(report)
    assert minutes(log) == pin_minutes(log) != []
    (source,) = report.sources
    assert [(source.cells,)] == log.sql(
        "SELECT (SELECT count() FROM pin_minutes FINAL) + (SELECT count() FROM action_minutes FINAL)"
    )


def test_slices_from_before_it_was_registered_are_not_missed_and_repair_fills_them(flusher: Flusher) -> None:  # noqa: F811
    flusher.produce()
    flusher.sql(TABLE)
    Counting.begin(flusher).fold(455).flush()
    with registered():
        exact(flusher.verify())
        Counting.restore(flusher).fold(RECORDS).flush()
        exact(flusher.verify())
        assert minutes(flusher) != pin_minutes(flusher)
        repair_all(flusher, Choice(sources=frozenset([str(flusher.source)])))
        exact(flusher.verify())
        assert minutes(flusher) == pin_minutes(flusher)


def test_rules_that_do_not_count_it_leave_it_out(log: Flusher) -> None:
    piece = Piece(SliceId(0, 0), 0, 1, 0, 0, 0, 0)
    counted, others = (SliceState(piece, replace(RULES, trusted_cap=cap)) for cap in (1, 0))
    assert [type(each) for each in counted.aggregates] == [PinMinutes, ActionMinutes]
    assert [type(each) for each in others.aggregates] == [PinMinutes]
    assert others.ledger_row(log.source, 0, RULES).sums == {}


DAMAGE = {
    Kind.COUNT_TOO_HIGH: "ALTER TABLE action_minutes UPDATE events = events + 1 WHERE slice_block = 3",
    Kind.ROW_MISSING: "ALTER TABLE action_minutes DELETE WHERE slice_block = 3",
    Kind.ROW_EXTRA: "INSERT INTO action_minutes SELECT * REPLACE (minute - 3600 AS minute) FROM action_minutes LIMIT 1",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_verify_names_its_wrong_rows_and_repair_mends_them(log: Flusher, kind: Kind) -> None:
    Counting.begin(log).fold(RECORDS).flush()
    log.sql(DAMAGE[kind])
    report = log.verify()
    assert kinds(report) == {kind, Kind.INVARIANT}
    assert {found.table for found in shown(report, kind)} == {"action_minutes"}
    assert repair_all(log).repaired
    exact(log.verify())
    assert not repair_all(log).repaired, "a second run finds nothing to do"


def test_its_superseded_rows_are_deleted(log: Flusher) -> None:
    counting = Counting.begin(log).fold(RECORDS)
    counting.flush()
    (start, stream_time), *_ = log.sql("SELECT start, start_stream_time FROM ingest_ledger WHERE start > 400 LIMIT 1")
    with log.sink.session() as session:
        session.write_starts([StartRow(log.source, 1, start, stream_time, RULES.to_json())])
        session.delete_superseded()
    assert minutes(log) == pin_minutes(log) != []
    assert log.sql("SELECT uniqExact(slice_block, arrived_at) FROM action_minutes") == log.sql(
        f"SELECT count() FROM ingest_ledger WHERE start < {start}"
    )


def test_its_rows_are_restamped_and_forgotten_with_the_others(log: Flusher) -> None:
    counting = Counting.begin(log).fold(RECORDS)
    counting.flush()
    with log.sink.session() as session:
        row = session.read_ledgers([log.source])[log.source].rows[-1]
        name = row.slice_block, row.arrived_at
        begin = StartRow(log.source, 1, row.start, row.start_stream_time, RULES.to_json())
        restamp(session, Restamp(begin, 0, RECORDS, (name,), (row,)))
        for kind in (ActionMinuteRows, PinMinuteRows):
            rows = session.read_slice(kind, log.source, *name)
            assert set((rows.version >> np.uint64(EPOCH_SHIFT)).tolist()) == {1}
        sums = session.slice_sums(log.source)[name].sums
        assert sums == {"pin_minutes": row.cells_sum, "action_minutes": row.cells_sum} == row.check_sums
        session.delete_cells(log.source, *name)
        assert name not in session.slice_sums(log.source)
        session.forget(log.source)
    assert minutes(log) == []
