"""Verify on the real engines: exact where it is, and every kind of damage found and named."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Semaphore
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from clickhouse_driver import Client
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.audit.findings import Finding, Kind
from pintally.audit.sampling import Sampling
from pintally.audit.verify import Report, verify
from pintally.audit.words import utc
from pintally.schemas.actions import Action
from pintally.schemas.decoding.values import Values
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.slices import Base
from pintally.streams.kafka.topics import describe_topics, read_offsets
from pintally.streams.settings import Settings
from tests.e2e.running import wait_for
from tests.support.engines import TestEngines, topics_and_tables
from tests.support.kept import Kept

MINUTE, TEN_MINUTES = 60_000, 600_000  # ms
RULES = Rules(slice_records=100)
RECORDS = 990  # the last slice is unfinished
LONG_AGO_MS = RECORDS * 3_500 + 4 * 3_600_000  # so that all hours can be sealed
DAY_MS = 86_400_000
FINAL_MS = 2 * 3_600_000  # an hour is final so long after its end, and verify finds what was sealed sooner
TABLES = (
    "pin_minutes", "ingest_starts", "ingest_ledger", "dead_letters", "pin_hours", "pin_days", "pin_hour_breakdowns",
    "pin_day_breakdowns", "sealed",
)  # fmt: skip
ARMS = [None, {"feed": "control"}, {"feed": "treatment", "checkout": "a"}, {}, {"checkout": "b"}]
ODD = [None, b"{}", b"\xff\x00", b'{"event_id": 1}']


class Flusher:
    """A log of one source, and what a worker would have written of it."""

    kept: Kept  # where several tests share it

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        info = describe_topics(settings.kafka, settings.topics)[settings.topics.names[Action.SAVE]]
        self.source = Source(info.name, info.topic_id, 0)
        self.sink = ClickHouseSink(settings.clickhouse)
        self.start_stream_time = 0

    def produce(self, records: int = RECORDS, seed: int = 1, ago_ms: int = LONG_AGO_MS) -> None:
        """Saves of few users on few pins, 3 s apart, some twice, some late, some broken; several slices of each border.

        They start with ten minutes of the clock, so that slices are the same at any time of day.
        """
        chance, now = random.Random(seed), (now_ms() - ago_ms) // TEN_MINUTES * TEN_MINUTES
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap_servers, linger_ms=20)
        for number in range(records):
            now += chance.randrange(6_000)
            ago = chance.choice([0, 1_000, 30_000, 90_000] * 8 + [2 * 3_600_000])
            event = {
                "event_id": str(UUID(int=chance.randrange(records) if chance.random() < 0.3 else 10**9 + number)),
                "action": "save",
                "pin_id": str(chance.randrange(1, 9)),
                "user_id": str(chance.choice([1, 1, 1, 2])),
                "occurred_at": now - ago,
                "surface": chance.choice([None, None, None, "home", "search"]),
                "platform": chance.choice(["ios", "ios", "ios", "web"]),
                "experiments": ARMS[number % len(ARMS)],
            }
            value = chance.choice(ODD) if chance.random() < 0.03 else json.dumps(event).encode()
            producer.send(self.source.topic, value, key=b"k", partition=0, timestamp_ms=now)
        producer.flush()
        producer.close()

    def abort(self) -> None:
        """Records of a transaction that never happened."""
        producer = KafkaProducer(
            bootstrap_servers=self.settings.kafka.bootstrap_servers, transactional_id=self.settings.kafka.group_id
        )
        producer.init_transactions()
        producer.begin_transaction()
        for _ in range(30):
            producer.send(self.source.topic, b"{}", partition=0)
        producer.flush()
        producer.abort_transaction()
        producer.close()
        wait_for(self._nothing_is_open, 30, "the transaction's marker")

    def _nothing_is_open(self) -> bool:
        offsets = read_offsets(self.settings.kafka, [self.source])[self.source]
        return offsets.last_stable == offsets.log_end

    def read(self) -> Iterator[Any]:
        at = TopicPartition(self.source.topic, 0)
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.kafka.bootstrap_servers,
            auto_offset_reset="none",
            isolation_level="read_committed",
        )
        consumer.assign([at])
        consumer.seek(at, 0)
        end = consumer.end_offsets([at])[at]
        while consumer.position(at) < end:
            yield from consumer.poll(500).get(at, [])
        consumer.close()

    def flush(
        self,
        rules: Rules = RULES,
        epoch: int = 0,
        base: Base | None = None,
        twist: Callable[[list[Any]], list[Any]] = lambda records: records,
        chunk: int = 130,
        until: int | None = None,
    ) -> SourceFold:
        """Fold the log in chunks, one flush a chunk; `twist` is a mistake of the counting path."""
        base = Base(0, 0, 0, 0) if base is None else base
        folding = SourceFold(self.source, Action.SAVE, rules, epoch, base, keys=self.settings.rules.keys)
        records = [record for record in self.read() if record.offset >= base.collect_start]
        records = [record for record in records if until is None or record.offset < until]
        with self.sink.session() as session:
            session.write_starts([StartRow(self.source, epoch, base.start, base.start_stream_time, rules.to_json())])
            for at in range(0, len(records), chunk):
                part = records[at : at + chunk]
                folding.fold(self._chunk(folding.position, part[-1].offset + 1, twist(part)))
                if flush := folding.capture():
                    session.write_dead_letters(flush.dead_letters)
                    session.write_cells(*flush.cells)
                    session.write_ledger(flush.ledger)
                    folding.acknowledge(flush)
        return folding

    def _chunk(self, start: int, end: int, records: Sequence[Any]) -> Chunk:
        envelopes = {record.offset: (record.key, tuple(record.headers)) for record in records}
        return Chunk(
            self.source.topic,
            0,
            start,
            end,
            np.array([record.offset for record in records], np.int64),
            np.array([record.timestamp for record in records], np.int64),
            Values.of([record.value for record in records]),
            lambda offsets: {offset: envelopes[offset] for offset in offsets},
        )

    def verify(self, only: Sequence[str] = (), since: int = 0, sampling: Sampling | None = None) -> Report:
        return verify(addresses_of(self.settings), only, since, processes=1, sampling=sampling)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        address = self.settings.clickhouse
        login = address.user, address.password.get_secret_value()
        client = Client(address.host, address.port, address.database, *login, settings={"mutations_sync": 2})
        try:
            found: list[tuple[Any, ...]] = client.execute(query)
            return found
        finally:
            client.disconnect()


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The tests choose the timestamps; LogAppendTime would put its own."""
    return settings.changed(topic_timestamps="CreateTime")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` looks again at once."""
    monkeypatch.setattr("pintally.audit.verify.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("pintally.audit.looks.PAUSE_SECONDS", 0.05)


@pytest.fixture
def flusher(stack: Settings, hurried: None) -> Flusher:  # noqa: ARG001
    return Flusher(stack)


@pytest.fixture
def alone(flusher: Flusher) -> Flusher:
    """A log and its counts, for a test that damages the topic."""
    flusher.produce()
    flusher.flush()
    return flusher


@contextmanager
def topics_of_a_module(engines: TestEngines) -> Iterator[Flusher]:
    """Topics and tables that the tests of a module share, dropped at the end."""
    name = f"t{uuid4().hex[:12]}"
    settings = Settings.of(
        env_file=None,
        **engines.addresses.settings(),
        clickhouse_database=name,
        topic_prefix=f"{name}.",
        partitions=2,
        topic_timestamps="CreateTime",
    )
    with topics_and_tables(settings, engines.addresses):
        yield Flusher(settings)


@pytest.fixture(scope="module")
def shared(engines: TestEngines) -> Iterator[Flusher]:
    """A log and its counts, made once; tests that damage the tables use `flushed`."""
    with topics_of_a_module(engines) as flusher:
        flusher.produce()
        flusher.flush()
        flusher.kept = Kept(flusher.settings.clickhouse, TABLES)
        yield flusher


@pytest.fixture
def flushed(shared: Flusher, hurried: None) -> Iterator[Flusher]:  # noqa: ARG001
    """`shared`, mended after the test."""
    yield shared
    shared.kept.restore()


def produce_in_the_evening(flusher: Flusher) -> int:
    """A log in the last four hours of the last day that is final, few to be sealed; returns its end in seconds."""
    end_ms = (now_ms() - FINAL_MS) // DAY_MS * DAY_MS
    flusher.produce(ago_ms=now_ms() - end_ms + 4 * 3_600_000)
    return end_ms // 1000


def kinds(report: Report) -> set[str]:
    """The kinds of what was found."""
    assert report.exit_code == (1 if report.findings else 2 if report.unverifiable else 0)
    assert not report.transient
    return {kind.value for kind in report.findings.counts}


def shown(report: Report, kind: Kind) -> list[Finding]:
    return [finding for finding in report.findings.shown if finding.kind == kind]


def exact(report: Report) -> None:
    assert (report.findings.shown, report.unverifiable, report.exit_code) == ([], [], 0)


def test_what_the_counting_path_wrote_is_exact(flushed: Flusher) -> None:
    report = flushed.verify()
    exact(report)
    (source,) = report.sources
    assert sum(source.outcomes.values()) == RECORDS == source.position
    assert all(source.outcomes[outcome] > 0 for outcome in ("counted", "duplicate", "late", "invalid"))
    assert (source.slices >= 10, source.cells > 100, source.lag) == (True, True, 0)


def test_offsets_of_transactions_are_absent_and_exact(flusher: Flusher) -> None:
    flusher.produce(150)
    flusher.abort()
    flusher.produce(150, seed=2)
    flusher.flush()
    report = flusher.verify()
    exact(report)
    assert report.sources[0].outcomes["gaps"] == 31  # thirty records and the marker


def test_what_is_not_recorded_yet_is_lag_and_no_difference(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush(until=777)
    report = flusher.verify()
    exact(report)
    assert (report.sources[0].position, report.sources[0].lag) == (777, RECORDS - 777)


def test_rows_ahead_of_the_ledger_are_checked_at_their_own_version(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush()
    newest = max(row[0] for row in flusher.sql("SELECT position FROM ingest_ledger FINAL"))
    flusher.sql(f"ALTER TABLE ingest_ledger DELETE WHERE position > {newest - 250}")
    report = flusher.verify()
    exact(report)
    assert report.sources[0].position <= newest - 250
    flusher.sql(f"ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE version = {newest}")
    assert kinds(flusher.verify()) == {"count_too_high"}


def test_a_partition_without_a_worker_is_not_started_and_no_difference(alone: Flusher) -> None:
    producer = KafkaProducer(bootstrap_servers=alone.settings.kafka.bootstrap_servers)
    producer.send(alone.source.topic, b"{}", partition=1)
    producer.flush()
    producer.close()
    report = alone.verify()
    exact(report)
    assert report.not_started == [(f"{alone.source.topic}[1]", 1)]


KEY = ("slice_block", "arrived_at", "minute", "pin_id", "surface", "platform")


def some_cell(flusher: Flusher, where: str = "events > 1 AND slice_block < 8") -> dict[str, Any]:
    (row,) = flusher.sql(
        "SELECT slice_block, toUInt32(arrived_at), toUInt32(minute), pin_id, surface, platform, events, trusted,"
        f" version FROM pin_minutes FINAL WHERE {where} ORDER BY slice_block DESC, minute, pin_id, surface, platform"
        " LIMIT 1 OFFSET 3"
    )
    return dict(zip((*KEY, "events", "trusted", "version"), row, strict=True))


def at_cell(cell: dict[str, Any]) -> str:
    return " AND ".join(f"{name} = {cell[name]!r}" for name in KEY)


def insert_cell(flusher: Flusher, cell: dict[str, Any]) -> None:
    row = {"source": flusher.source.id, "action": 1} | cell
    flusher.sql(f"INSERT INTO pin_minutes ({', '.join(row)}) VALUES ({', '.join(map(repr, row.values()))})")


@pytest.mark.parametrize(("by", "kind"), [(1, Kind.COUNT_TOO_HIGH), (-1, Kind.COUNT_TOO_LOW)])
def test_a_count_that_is_off_by_one_is_named(flushed: Flusher, by: int, kind: Kind) -> None:
    cell = some_cell(flushed)
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE events = events + {by} WHERE {at_cell(cell)}")
    report = flushed.verify()
    assert kinds(report) == {kind, "invariant"}
    (found,) = shown(report, kind)
    assert (found.source, found.pin, found.action) == (str(flushed.source), cell["pin_id"], "save")
    assert (found.found, found.expected) == (cell["events"] + by, cell["events"])
    assert found.slice == f"{cell['slice_block']}/{cell['arrived_at']}"
    assert found.minute == utc(cell["minute"])


def test_a_row_that_is_gone_is_named(flushed: Flusher) -> None:
    cell = some_cell(flushed)
    flushed.sql(f"ALTER TABLE pin_minutes DELETE WHERE {at_cell(cell)}")
    report = flushed.verify()
    assert kinds(report) == {"row_missing", "invariant"}
    (found,) = shown(report, Kind.ROW_MISSING)
    assert (found.pin, found.minute, found.expected) == (cell["pin_id"], utc(cell["minute"]), cell["events"])


EXTRA = [{"pin_id": 999}, {"slice_block": 77}, {"action": 2}, {"minute": -7200}, {"surface": "no"}, {"platform": "no"}]


@pytest.mark.parametrize("change", EXTRA)
def test_a_row_too_many_is_named(flushed: Flusher, change: dict[str, Any]) -> None:
    cell = some_cell(flushed)
    lower = {name: cell[name] + value for name, value in change.items() if type(value) is int and value < 0}
    cell |= change | lower
    insert_cell(flushed, cell)
    report = flushed.verify()
    assert kinds(report) - {"invariant"} == {"row_extra"}
    (found,) = shown(report, Kind.ROW_EXTRA)
    assert (found.pin, found.found, found.expected) == (cell["pin_id"], cell["events"], 0)
    assert (found.surface, found.platform) == (cell["surface"], cell["platform"])


@pytest.mark.parametrize(("by", "kind"), [(1, Kind.COUNT_TOO_HIGH), (-1, Kind.COUNT_TOO_LOW)])
def test_a_trusted_count_that_is_off_by_one_is_named(flushed: Flusher, by: int, kind: Kind) -> None:
    cell = some_cell(flushed, "events > trusted AND trusted > 0 AND slice_block < 8")
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE trusted = trusted + {by} WHERE {at_cell(cell)}")
    report = flushed.verify()
    assert kinds(report) == {kind}
    (found,) = shown(report, kind)
    assert (found.field, found.found, found.expected) == ("trusted", cell["trusted"] + by, cell["trusted"])
    assert (found.pin, found.surface, found.platform) == (cell["pin_id"], cell["surface"], cell["platform"])


def test_more_trusted_than_counted_is_found_without_the_log(flushed: Flusher) -> None:
    cell = some_cell(flushed)
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE trusted = events + 1 WHERE {at_cell(cell)}")
    report = flushed.verify()
    assert kinds(report) == {"count_too_high", "invariant"}
    (found,) = shown(report, Kind.INVARIANT)
    assert found.field == "cells with more trusted than counted"
    assert found.slice == f"{cell['slice_block']}/{cell['arrived_at']}"


def test_counts_under_the_label_of_another_are_two_differences(flushed: Flusher) -> None:
    cell = some_cell(flushed, "surface = 'home' AND slice_block < 8")
    flushed.sql(f"ALTER TABLE pin_minutes DELETE WHERE {at_cell(cell)}")
    insert_cell(flushed, cell | {"surface": "search \x1b[31m"})
    report = flushed.verify()
    assert kinds(report) == {"row_missing", "row_extra"}  # all sums are right
    assert shown(report, Kind.ROW_MISSING)[0].surface == "home"
    [extra] = shown(report, Kind.ROW_EXTRA)
    assert extra.surface == "search \x1b[31m"
    assert "\x1b" not in str(extra)


def test_a_row_of_count_zero_where_nothing_is_says_what_is_true(flushed: Flusher) -> None:
    insert_cell(flushed, some_cell(flushed) | {"pin_id": 999, "events": 0, "trusted": 0})
    exact(flushed.verify())


def test_an_older_version_written_again_changes_nothing(flushed: Flusher) -> None:
    cell = some_cell(flushed)
    insert_cell(flushed, cell | {"version": cell["version"] - 1, "events": 1})
    exact(flushed.verify())


def test_two_pins_swapped_are_two_differences(flushed: Flusher) -> None:
    cell = some_cell(flushed)
    flushed.sql(f"ALTER TABLE pin_minutes DELETE WHERE {at_cell(cell)}")
    insert_cell(flushed, cell | {"pin_id": 999})
    report = flushed.verify()
    assert kinds(report) == {"row_missing", "row_extra"}  # the sum is right, and yet
    assert shown(report, Kind.ROW_MISSING)[0].pin == cell["pin_id"]
    assert shown(report, Kind.ROW_EXTRA)[0].pin == 999


def test_a_version_beyond_the_log_is_named(flushed: Flusher) -> None:
    cell = some_cell(flushed, "(slice_block, arrived_at) = (SELECT max((slice_block, arrived_at)) FROM pin_minutes)")
    insert_cell(flushed, cell | {"version": RECORDS + 1_000})
    assert kinds(flushed.verify()) == {"version_ahead"}


LEDGER_FIELDS = (
    "start", "start_stream_time", "position", "stream_time", "counted", "duplicate", "late", "invalid", "gaps",
    "cells_sum",
    "epoch", "rules", "version", "slice_block", "arrived_at",
)  # fmt: skip


@pytest.mark.parametrize("field", LEDGER_FIELDS)
def test_a_changed_ledger_row_is_named(flushed: Flusher, field: str) -> None:
    key = "slice_block = 4 AND start = (SELECT max(start) FROM ingest_ledger WHERE slice_block = 4)"
    (row,) = flushed.sql(f"SELECT * EXCEPT written_at FROM ingest_ledger FINAL WHERE {key}")
    names = [column[0] for column in flushed.sql("DESCRIBE ingest_ledger")][: len(row)]
    wrong = dict(zip(names, row, strict=True))
    wrong["arrived_at"] = int(wrong["arrived_at"].timestamp())
    wrong[field] = "f" * 16 if field == "rules" else wrong[field] + {"arrived_at": 60, "slice_block": 70}.get(field, 1)
    flushed.sql(f"ALTER TABLE ingest_ledger DELETE WHERE {key}")
    values = ", ".join(f"'{value}'" if isinstance(value, (str, UUID)) else str(value) for value in wrong.values())
    flushed.sql(f"INSERT INTO ingest_ledger ({', '.join(wrong)}) VALUES ({values})")
    report = flushed.verify()
    match field:
        case "epoch":
            assert {"superseded_row", "slice_gap"} <= kinds(report)
        case "slice_block" | "arrived_at":
            assert "ledger_extra" in kinds(report)
        case "start" | "position":
            assert {"ledger_differs", "slice_gap"} <= kinds(report)
            assert field in {finding.field for finding in shown(report, Kind.LEDGER_DIFFERS)} or field == "position"
        case _:
            assert [finding.field for finding in shown(report, Kind.LEDGER_DIFFERS)] == [field]


def test_a_ledger_row_that_is_gone_leaves_a_gap_that_is_named(flushed: Flusher) -> None:
    ((start, position),) = flushed.sql("SELECT start, position FROM ingest_ledger FINAL WHERE slice_block = 3 LIMIT 1")
    flushed.sql(f"ALTER TABLE ingest_ledger DELETE WHERE start = {start}")
    report = flushed.verify()
    assert kinds(report) == {"slice_gap"}
    (found,) = shown(report, Kind.SLICE_GAP)
    assert (found.start, found.end) == (start, position)


def test_a_record_that_the_fold_never_saw_is_found(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush(twist=lambda records: [record for record in records if record.offset not in (500, 501, 502)])
    assert {"ledger_differs"} <= kinds(flusher.verify())


@pytest.mark.parametrize("dedup", [True, False])
def test_a_chunk_folded_twice_is_found(flusher: Flusher, dedup: bool) -> None:
    flusher.produce()
    folding = flusher.flush(replace(RULES, dedup=dedup), until=520)
    part = [record for record in flusher.read() if 510 <= record.offset < 520]
    folding.position = 510
    folding.fold(flusher._chunk(510, 520, part))
    flush = folding.capture()
    if flush is None:  # no new position, so the worker would say nothing yet
        folding.fold(flusher._chunk(520, 530, [record for record in flusher.read() if 520 <= record.offset < 530]))
        flush = folding.capture()
    assert flush is not None
    with flusher.sink.session() as session:
        session.write_cells(*flush.cells)
        session.write_ledger(flush.ledger)
    assert "ledger_differs" in kinds(flusher.verify())


def test_a_flush_that_lost_its_rows_is_found(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush()
    (version,) = flusher.sql("SELECT max(version) FROM pin_minutes")[0]
    flusher.sql(f"ALTER TABLE pin_minutes DELETE WHERE version = {version}")
    assert kinds(flusher.verify()) & {"row_missing", "count_too_low"}


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("DELETE WHERE offset = {offset}", "dead_letter_missing"),
        ("UPDATE outcome = if(outcome = 'late', 'invalid', 'late') WHERE offset = {offset}", "dead_letter_differs"),
        ("UPDATE value = 'something else' WHERE offset = {offset}", "dead_letter_differs"),
        ("UPDATE timestamp = 5 WHERE offset = {offset}", "dead_letter_differs"),
    ],
)
def test_a_dead_letter_that_is_gone_or_changed_is_named(flushed: Flusher, damage: str, kind: str) -> None:
    ((offset,),) = flushed.sql("SELECT offset FROM dead_letters WHERE outcome = 'late' LIMIT 1 OFFSET 5")
    flushed.sql(f"ALTER TABLE dead_letters {damage.format(offset=offset)}")
    report = flushed.verify()
    assert kinds(report) == {kind}
    assert [finding.start for finding in report.findings.shown] == [offset]


def test_a_dead_letter_of_a_counted_record_is_named(flushed: Flusher) -> None:
    letters = {offset for (offset,) in flushed.sql("SELECT offset FROM dead_letters")}
    free = min(set(range(RECORDS)) - letters)
    flushed.sql(
        "INSERT INTO dead_letters (source, topic, topic_id, partition, offset, outcome)"
        f" SELECT source, topic, topic_id, partition, {free}, 'invalid' FROM dead_letters LIMIT 1"
    )
    report = flushed.verify()
    assert kinds(report) == {"dead_letter_extra"}
    assert [finding.start for finding in report.findings.shown] == [free]


MEASURES = ("saves", "clicks", "closeups", "trusted_saves", "trusted_clicks", "trusted_closeups")
ADDED = ", ".join(
    f"sumIf({counts}, action = {number})"
    for counts in ("events", "trusted")
    for number in (1, 2, 3)
)  # fmt: skip
PRINT = " + ".join(
    f"cityHash64(pin_id, toUInt8({number}), cityHash64(toUInt8(dimension), label))"
    f" * ({name} + 1000003 * trusted_{name})"
    for number, name in enumerate(MEASURES[:3], 1)
)


def seal(flusher: Flusher, table: str, window: str, resolution: str) -> None:
    """As sealing leaves it."""
    names, by_label = ", ".join(MEASURES), f"{table[:-1]}_breakdowns"
    flusher.sql(
        f"INSERT INTO {table} (window_start, pin_id, {names}, seal) "
        f"SELECT {window} AS w, pin_id, {ADDED}, 7 FROM pin_minutes FINAL GROUP BY w, pin_id"
    )
    flusher.sql(
        f"INSERT INTO {by_label} (window_start, pin_id, dimension, label, {names}, seal) "
        f"SELECT {window} AS w, pin_id, of.1 AS d, of.2 AS l, {ADDED}, 7 FROM pin_minutes FINAL "
        "ARRAY JOIN [('surface', surface), ('platform', platform)] AS of GROUP BY w, pin_id, d, l"
    )
    flusher.sql(
        f"INSERT INTO sealed (resolution, window_start, seal, is_open, corrected, pins, {names}, breakdown_sum, "
        f"written_at) SELECT '{resolution}', window_start, 7, false, false, count(), "
        f"{', '.join(f'sum({name})' for name in MEASURES)}, any(print), window_start + INTERVAL 2 HOUR FROM {table} "
        f"LEFT JOIN (SELECT window_start, sum({PRINT}) AS print FROM {by_label} GROUP BY window_start) AS b "
        "USING (window_start) GROUP BY window_start"
    )


def cut_at(flusher: Flusher, offset: int, published: str = "now64(3, 'UTC') + INTERVAL 3 HOUR") -> int:
    """Publish a cut some minutes after the record at an offset; returns it in seconds since 1970."""
    [at] = [record.timestamp // TEN_MINUTES * 600 + 1200 for record in flusher.read() if record.offset == offset]
    flusher.sql(f"INSERT INTO cuts (cut, hours_until, published_at) VALUES ({at}, {at - 7200}, {published})")
    return int(at)


def early_cuts(report: Report) -> list[tuple[Any, ...]]:
    return [(finding.minute, finding.field) for finding in shown(report, Kind.CUT_EARLY)]


def test_a_cut_that_a_source_has_not_reached_is_named(flusher: Flusher) -> None:
    """As a copy of the ledger from before it leaves it."""
    flusher.produce()
    flusher.flush(until=500)
    cut = cut_at(flusher, 500)
    [(minute, about)] = early_cuts(flusher.verify())
    assert minute == utc(cut)
    assert about == f"the next record of {flusher.source} arrives before it"


def test_a_cut_is_not_early_if_its_source_has_passed_it_or_nothing_arrives_before_it(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush(until=500)
    cut_at(flusher, 20)
    assert early_cuts(flusher.verify()) == []
    flusher.flush()
    cut = cut_at(flusher, RECORDS - 1)
    assert early_cuts(flusher.verify()) == [], "the source is idle"
    producer = KafkaProducer(bootstrap_servers=flusher.settings.kafka.bootstrap_servers)
    producer.send(flusher.source.topic, b"{}", partition=0, timestamp_ms=cut * 1000)
    producer.close()
    assert early_cuts(flusher.verify()) == [], "what it has not counted yet arrives later"


def test_a_cut_is_not_early_for_what_somebody_set_back_or_began_later(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush(until=500)
    cut_at(flusher, 500, "now64(3, 'UTC')")
    assert early_cuts(flusher.verify()) == [], "the source is younger than the cut: an old backlog"
    cut_at(flusher, 500)
    bucket = "toStartOfTenMinutes(toDateTime(intDiv(max(stream_time), 1000), 'UTC') + INTERVAL {} MINUTE)"
    for minutes in (0, 10):
        flusher.sql(
            "INSERT INTO feature_seals (kind, window_start, seal, is_open)"
            f" SELECT 'tiles', {bucket.format(minutes)}, 1, true FROM ingest_ledger"
        )
    assert early_cuts(flusher.verify()) == [], "its bucket is open: it will be sealed again"


@pytest.mark.parametrize(
    ("table", "window", "resolution"), [("pin_hours", "hour", "hour"), ("pin_days", "toStartOfDay(hour)", "day")]
)
def test_a_roll_up_that_is_not_the_sum_of_its_minutes_is_named(
    flushed: Flusher, table: str, window: str, resolution: str
) -> None:
    seal(flushed, table, window, resolution)
    report = flushed.verify()
    exact(report)
    assert report.windows > 0
    flushed.sql(
        f"INSERT INTO {table} (window_start, pin_id, saves, seal) SELECT window_start, 3, 9, 6 FROM {table} LIMIT 1"
    )
    exact(flushed.verify())  # of a seal that nothing names
    for column in ("saves", "trusted_saves"):
        flushed.sql(f"ALTER TABLE {table} UPDATE {column} = {column} + 1 WHERE pin_id = 3")
        report = flushed.verify()
        assert kinds(report) == {"rollup_differs"}
        found = [finding for finding in report.findings.shown if finding.source == table]
        assert {(finding.pin, finding.field) for finding in found} == {(3, column)}
        flushed.sql(f"ALTER TABLE {table} UPDATE {column} = {column} - 1 WHERE pin_id = 3")


DAMAGE = [
    ("ALTER TABLE {table} UPDATE saves = saves + 1 WHERE {where}", "saves"),
    ("ALTER TABLE {table} UPDATE trusted_saves = 0 WHERE {where}", "trusted_saves"),
    ("ALTER TABLE {table} DELETE WHERE {where}", "saves"),
    ("INSERT INTO {table} SELECT * REPLACE ('nobody' AS label) FROM (SELECT * FROM {table} WHERE {where})", "saves"),
]


@pytest.mark.parametrize(
    ("table", "window", "resolution"), [("pin_hours", "hour", "hour"), ("pin_days", "toStartOfDay(hour)", "day")]
)
@pytest.mark.parametrize(("damage", "field"), DAMAGE)
def test_a_breakdown_that_is_not_the_sum_of_its_minutes_is_named(
    flushed: Flusher, table: str, window: str, resolution: str, damage: str, field: str
) -> None:
    seal(flushed, table, window, resolution)
    where = "pin_id = 3 AND dimension = 'platform' AND label = 'web'"
    flushed.sql(damage.format(table=f"{table[:-1]}_breakdowns", where=where))
    report = flushed.verify()
    assert kinds(report) == {"rollup_differs"}
    found = [finding for finding in report.findings.shown if finding.source != "sealed"]
    assert {finding.source for finding in found} == {f"{table[:-1]}_breakdowns"}
    assert {finding.pin for finding in found} == {3}
    assert {finding.platform for finding in found} == {"nobody" if "nobody" in damage else "web"}
    assert field in {finding.field for finding in found}
    stated = {finding.field for finding in report.findings.shown if finding.source == "sealed"}
    assert stated == {f"{resolution} breakdown_sum"}


@pytest.mark.parametrize(
    ("table", "window", "resolution"), [("pin_hours", "hour", "hour"), ("pin_days", "toStartOfDay(hour)", "day")]
)
def test_a_window_that_is_said_to_have_no_labels_is_named_if_its_cells_have_some(
    flushed: Flusher, table: str, window: str, resolution: str
) -> None:
    seal(flushed, table, window, resolution)
    flushed.sql(f"TRUNCATE TABLE {table[:-1]}_breakdowns")
    flushed.sql("ALTER TABLE sealed UPDATE breakdown_sum = 0 WHERE 1")
    report = flushed.verify()
    found = {(str(finding.kind), finding.source, finding.field) for finding in report.findings.shown}
    assert found == {("rollup_differs", f"{table[:-1]}_breakdowns", "labels")}


def test_an_hour_that_was_sealed_before_its_end_and_the_lateness_is_named(flushed: Flusher) -> None:
    """Whoever did it had a clock that is ahead; the counts are right, and readers were told that they are final."""
    flushed.sql(
        "INSERT INTO sealed (resolution, window_start, seal, is_open, pins)"
        " SELECT 'hour', toStartOfHour(now('UTC')) + INTERVAL 1 HOUR, 7, false, 0"
    )
    report = flushed.verify()
    assert report.exit_code == 1
    [finding] = [each for each in report.findings.shown if each.kind == "sealed_early"]
    hour = datetime.strptime(str(finding.minute), "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    due = hour + timedelta(hours=1, milliseconds=RULES.allowed_lateness_ms)
    assert finding.expected == f"{due:%Y-%m-%dT%H:%MZ}"
    assert str(finding.found) < str(finding.minute)


def change_rules(flusher: Flusher, rules: Rules) -> Base:
    """As `rules apply` does it: the unfinished slice and what follows begin anew."""
    ((start, stream_time, slice_block, arrived_at),) = flusher.sql(
        "SELECT start, start_stream_time, slice_block, toUInt32(arrived_at) FROM ingest_ledger FINAL"
        " ORDER BY start DESC LIMIT 1"
    )
    for table in ("pin_minutes", "ingest_ledger"):
        flusher.sql(
            f"ALTER TABLE {table} DELETE WHERE (slice_block, toUInt32(arrived_at)) >= ({slice_block}, {arrived_at})"
        )
    flusher.sql(f"ALTER TABLE dead_letters DELETE WHERE offset >= {start}")
    base = Base(0, 0, start, stream_time)
    flusher.flush(rules, 1, base)
    return base


def test_each_stretch_is_judged_by_the_rules_of_its_epoch(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush(until=650)
    times = replace(RULES, slice_records=80, allowed_lateness_ms=10 * MINUTE, max_clock_skew_ms=0)
    change_rules(flusher, replace(times, breakdown=False, trusted_cap=2))
    exact(flusher.verify())
    seen = flusher.sql("SELECT bitShiftRight(version, 48) AS e, uniqExact(surface) > 1 FROM pin_minutes GROUP BY e")
    assert sorted(seen) == [(0, 1), (1, 0)]


MISTAKES = [
    ({"trusted_cap": 4}, {"count_too_low"}),
    ({"trusted_cap": 0}, {"count_too_high"}),
    ({"breakdown": False}, {"row_missing", "row_extra"}),
]


@pytest.mark.parametrize(("mistake", "found"), MISTAKES)
def test_labels_and_trust_that_are_not_by_the_rules_are_named(
    flusher: Flusher, mistake: dict[str, Any], found: set[str]
) -> None:
    """The sums of all cells are right."""
    flusher.produce(300)
    flusher.flush(replace(RULES, **mistake))
    flusher.sql(f"ALTER TABLE ingest_starts UPDATE rules = '{RULES.to_json()}' WHERE 1")
    flusher.sql(f"ALTER TABLE ingest_ledger UPDATE rules = '{RULES.fingerprint}' WHERE 1")
    assert kinds(flusher.verify()) == found


def test_rows_of_replaced_rules_are_superseded_and_named(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush(until=650)
    base = change_rules(flusher, replace(RULES, allowed_lateness_ms=10 * MINUTE))
    cell = some_cell(flusher, f"bitShiftRight(version, 48) = 1 AND slice_block = {base.start // 100}")
    insert_cell(flusher, cell | {"pin_id": 999, "version": base.start + 5})
    report = flusher.verify()
    assert kinds(report) == {"superseded_row"}
    assert 999 in {finding.pin for finding in shown(report, Kind.SUPERSEDED_ROW)}


def test_a_dead_letter_of_replaced_rules_is_superseded_too(flusher: Flusher) -> None:
    """A worker that slept wrote it; the next sealing deletes it."""
    flusher.produce()
    flusher.flush(until=650)
    base = change_rules(flusher, replace(RULES, allowed_lateness_ms=10 * MINUTE))
    letters = {offset for (offset,) in flusher.sql("SELECT offset FROM dead_letters")}
    free = min(set(range(base.start, RECORDS)) - letters)
    flusher.sql(
        "INSERT INTO dead_letters (source, topic, topic_id, partition, offset, outcome, epoch) SELECT source, topic, "
        f"topic_id, partition, {free}, 'invalid', 0 FROM dead_letters LIMIT 1"
    )
    [finding] = flusher.verify().findings.shown
    assert (finding.kind, finding.field, finding.start) == (Kind.SUPERSEDED_ROW, "dead_letters", free)


def delete_records(flusher: Flusher, offset: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=flusher.settings.kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(flusher.source.topic, 0): offset})
    admin.close()


def test_what_retention_took_cannot_be_told_and_the_rest_is_still_checked(alone: Flusher) -> None:
    delete_records(alone, 250)
    report = alone.verify()
    assert (kinds(report), report.exit_code) == (set(), 2)
    assert "Kafka has deleted the records before 250" in report.unverifiable[0]
    assert report.sources[0].slices > 3
    assert report.sources[0].checked_from in range(300, 700)
    cell = some_cell(alone)
    alone.sql(f"ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE {at_cell(cell)}")
    assert "count_too_high" in kinds(alone.verify())


def test_recent_slices_alone_can_be_checked(flushed: Flusher) -> None:
    since = int(time.time()) - 1200
    report = flushed.verify(since=since)
    exact(report)
    assert 0 < (report.sources[0].checked_from or 0) < RECORDS
    some, [every] = report.sources[0], flushed.verify().sources
    assert 0 < some.slices < some.known == every.known == every.slices
    first = flushed.sql("SELECT min(slice_block) FROM pin_minutes")[0][0]
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE slice_block = {first}")
    report = flushed.verify(since=since)
    assert kinds(report) == {"invariant"}  # sums in ClickHouse cost nothing and are always looked at


def test_one_source_can_be_checked_alone(flushed: Flusher) -> None:
    assert len(flushed.verify(only=[str(flushed.source)]).sources) == 1
    assert flushed.verify(only=[f"{flushed.source.topic}[1]"]).sources == []


def test_a_log_of_which_nothing_is_counted_yet_is_not_called_exact(flusher: Flusher) -> None:
    """Neither before the first worker, nor between its start rows and its first flush: nothing was compared."""
    exact(flusher.verify())  # an empty log is counted
    flusher.produce(20)
    for ledgers in (lambda: None, lambda: flusher.flush(until=0)):
        ledgers()
        for only in ((), (flusher.source.topic,)):
            report = flusher.verify(only=only)
            assert (kinds(report), report.exit_code) == (set(), 2)
            assert "nothing has been counted yet" in report.unverifiable[0]
            assert "20 offsets" in report.unverifiable[0]
            assert "pintally worker" in report.unverifiable[0]
    flusher.flush(until=1)
    exact(flusher.verify())


def test_a_source_that_nobody_knows_is_not_called_exact(flushed: Flusher) -> None:
    for name in ("engagement.like.v1", f"{flushed.source.topic}[7]", "save"):
        report = flushed.verify(only=[name])
        assert report.exit_code == 2
        assert report.unverifiable[0].startswith(f"{name}: unknown")
        assert str(flushed.source) in report.unverifiable[0]


def test_a_topic_created_anew_cannot_be_told(alone: Flusher) -> None:
    admin = KafkaAdminClient(bootstrap_servers=alone.settings.kafka.bootstrap_servers)
    admin.delete_topics([alone.source.topic])
    wait_for(lambda: alone.source.topic not in admin.list_topics(), 30, "the topic is deleted")
    missing = alone.verify()
    admin.create_topics({alone.source.topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    anew = alone.verify()
    assert (missing.exit_code, anew.exit_code) == (2, 2)
    assert "Kafka does not know" in missing.unverifiable[0]
    assert "deleted and created again" in anew.unverifiable[0]


def test_nobody_there_cannot_be_told(flushed: Flusher) -> None:
    addresses = addresses_of(flushed.settings)
    with pytest.raises(CannotTellNow, match=r"ClickHouse .* does not answer"):
        verify(replace(addresses, clickhouse_http_port=1))
    with pytest.raises(CannotTell, match="refused a query") as refused:
        verify(replace(addresses, database="nobody"))
    assert not isinstance(refused.value, CannotTellNow)
    with pytest.raises(CannotTellNow, match="Kafka does not answer"):
        verify(replace(addresses, kafka="127.0.0.1:1"))


def test_a_live_stream_is_exact_at_any_moment(flusher: Flusher) -> None:
    flusher.produce()
    flusher.flush(until=1)
    allowed = Semaphore(0)  # flushes: each look lets four more come while it looks

    def flush_beside_a_look(records: list[Any]) -> list[Any]:
        assert allowed.acquire(timeout=60)
        return records

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(flusher.flush, chunk=RECORDS // 20, twist=flush_beside_a_look)
        looks = 0
        while not worker.done():
            allowed.release(4)
            exact(flusher.verify())
            looks += 1
        worker.result()
    exact(flusher.verify())
    assert looks >= 5


def test_several_processes_come_to_the_same(flushed: Flusher) -> None:
    other = Flusher(flushed.settings)
    other.source = replace(flushed.source, partition=1)
    with other.sink.session() as session:
        session.write_starts([StartRow(other.source, 0, 0, 0, RULES.to_json())])
    done: list[tuple[int, int]] = []
    report = verify(addresses_of(flushed.settings), processes=2, progress=lambda *at: done.append(at))
    exact(report)
    assert [source.position for source in report.sources] == [RECORDS, 0]
    assert done[-1] == (RECORDS, RECORDS)


def test_the_command_exits_with_the_verdict(flushed: Flusher) -> None:
    settings = flushed.settings
    environment = os.environ | {
        "PINTALLY_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "PINTALLY_CLICKHOUSE_HOST": settings.clickhouse.host,
        "PINTALLY_CLICKHOUSE_HTTP_PORT": str(settings.clickhouse.http_port),
        "PINTALLY_CLICKHOUSE_USER": settings.clickhouse.user,
        "PINTALLY_CLICKHOUSE_PASSWORD": settings.clickhouse.password.get_secret_value(),
        "PINTALLY_CLICKHOUSE_DATABASE": settings.clickhouse.database,
        "PINTALLY_TOPIC_PREFIX": settings.topics.topic_prefix,
    }

    def pintally(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pintally.cli", "verify", *arguments]
        return subprocess.run(command, env=environment | changed, capture_output=True, text=True, check=False)

    done = pintally("--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["exact"] is True
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE {at_cell(some_cell(flushed))}")
    done = pintally()
    assert done.returncode == 1
    assert "count_too_high: " in done.stdout
    assert "different" in done.stdout
    done = pintally(PINTALLY_CLICKHOUSE_HTTP_PORT="1")
    assert (done.returncode, "does not answer" in done.stderr) == (75, True)
