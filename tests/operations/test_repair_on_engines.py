"""Whatever is damaged in ClickHouse: `verify` finds it, `repair` mends it, and `verify` finds nothing any more."""

import json
from typing import Any

import pytest

from pintally.audit.findings import Kind
from pintally.audit.verify import Report
from pintally.cli.repair import choice_of
from pintally.cli.verify import _as_json
from pintally.schemas.rows import EPOCH_SHIFT
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.operations.change.cluster_state import read_cluster_state
from pintally.streams.operations.repair.choice import Choice, Repair
from pintally.streams.operations.repair.repair import repair
from tests.audit.test_verify import (  # noqa: F401 - fixtures
    RECORDS,
    Flusher,
    at_cell,
    exact,
    flushed,
    hurried,
    insert_cell,
    now_ms,
    shared,
    some_cell,
)

ALL = Choice()


def repair_all(flusher: Flusher, choice: Choice = ALL) -> Repair:
    """What `pintally repair` does."""
    with flusher.sink.session() as session:
        found = read_cluster_state(flusher.settings.kafka, flusher.settings.topics, flusher.sink, session)
        return repair(*flusher.settings.sources, session, found, choice)


def findings(report: Report) -> Choice:
    """What `verify` found, on its way to `repair` through JSON."""
    return choice_of(json.loads(json.dumps(_as_json(report), default=str)))


def middle(flusher: Flusher) -> dict[str, Any]:
    """Block, arrived_at, start and position of a complete slice in the middle with all outcomes."""
    (row,) = flusher.sql(
        "SELECT slice_block, toUInt32(arrived_at), start, position FROM ingest_ledger FINAL"
        " WHERE late > 0 AND invalid > 0 AND slice_block BETWEEN 3 AND 6 ORDER BY start LIMIT 1"
    )
    return dict(zip(("slice_block", "arrived_at", "start", "position"), row, strict=True))


DAMAGE = {
    "a cell is gone": "ALTER TABLE pin_minutes DELETE WHERE {cell}",
    "a cell is too high": "ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE {cell}",
    "a cell is too low": "ALTER TABLE pin_minutes UPDATE events = events - 1 WHERE {cell}",
    "a slice is gone": "ALTER TABLE pin_minutes DELETE WHERE {slice}",
    "rows were deleted": "DELETE FROM pin_minutes WHERE pin_id = 3",
    "all cells are gone": "TRUNCATE TABLE pin_minutes",
    "dead letters are gone": "ALTER TABLE dead_letters DELETE WHERE offset % 2 = 0",
    "a letter has another outcome": "ALTER TABLE dead_letters UPDATE outcome = 'invalid' WHERE"
    " offset >= {start} AND offset < {position}",
    "a ledger row is gone": "ALTER TABLE ingest_ledger DELETE WHERE {slice}",
    "several ledger rows are gone": "ALTER TABLE ingest_ledger DELETE WHERE slice_block BETWEEN 2 AND 5",
    "the first ledger rows are gone": "ALTER TABLE ingest_ledger DELETE WHERE slice_block < 2",
    "a ledger row has other outcomes": "ALTER TABLE ingest_ledger UPDATE counted = counted + 1 WHERE {slice}",
    "a ledger row has another position": "ALTER TABLE ingest_ledger UPDATE position = position - 1 WHERE {slice}",
    "a ledger row has a higher version": "INSERT INTO ingest_ledger SELECT * REPLACE (position + 1 AS position,"
    " version + 1 AS version) FROM ingest_ledger WHERE {slice}",
    "a ledger row has another start": "ALTER TABLE ingest_ledger UPDATE start = start + 1 WHERE {slice}",
}


def damage(flusher: Flusher, statement: str) -> None:
    place = middle(flusher)
    name = f"slice_block = {place['slice_block']} AND arrived_at = {place['arrived_at']}"
    flusher.sql(statement.format(cell=at_cell(some_cell(flusher)), slice=name, **place))


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_slices_that_do_not_add_up_are_found_and_repaired(flushed: Flusher, statement: str) -> None:  # noqa: F811
    damage(flushed, statement)
    assert flushed.verify().exit_code == 1
    done = repair_all(flushed)
    assert done.exit_code == 0, done
    assert done.repaired
    exact(flushed.verify())
    assert not repair_all(flushed).repaired, "a second run finds nothing to do"


def test_wrong_slices_that_add_up_are_repaired_by_the_findings_of_verify(flushed: Flusher) -> None:  # noqa: F811
    cell = some_cell(flushed)
    other = some_cell(
        flushed, f"slice_block = {cell['slice_block']} AND arrived_at = {cell['arrived_at']} AND NOT ({at_cell(cell)})"
    )
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE {at_cell(cell)}")
    fewer = "events = events - 1, trusted = least(trusted, events - 1)"
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE {fewer} WHERE {at_cell(other)}")
    found = flushed.verify()
    assert set(found.findings.counts) == {Kind.COUNT_TOO_HIGH, Kind.COUNT_TOO_LOW}
    assert not repair_all(flushed).repaired
    assert [(each.cells, each.cleared) for each in repair_all(flushed, findings(found)).repaired] == [(2, 0)]
    exact(flushed.verify())


def test_a_wrong_trusted_count_is_repaired_by_the_findings_of_verify(flushed: Flusher) -> None:  # noqa: F811
    """C30: the sums of the ledger say nothing of it."""
    cell = some_cell(flushed)
    flushed.sql(f"ALTER TABLE pin_minutes UPDATE trusted = trusted - 1 WHERE {at_cell(cell)}")
    found = flushed.verify()
    assert found.exit_code == 1
    assert not repair_all(flushed).repaired
    assert [(each.cells, each.cleared) for each in repair_all(flushed, findings(found)).repaired] == [(1, 0)]
    exact(flushed.verify())


def test_events_under_another_label_are_repaired_by_the_findings_of_verify(flushed: Flusher) -> None:  # noqa: F811
    """C29: the sums of the ledger say nothing of it."""
    at = at_cell(some_cell(flushed))
    moved = f"SELECT * REPLACE ('nowhere' AS surface) FROM (SELECT * FROM pin_minutes FINAL WHERE {at})"
    flushed.sql(f"INSERT INTO pin_minutes {moved}")
    flushed.sql(f"DELETE FROM pin_minutes WHERE {at}")
    found = flushed.verify()
    assert found.exit_code == 1
    assert not repair_all(flushed).repaired
    assert [(each.cells, each.cleared) for each in repair_all(flushed, findings(found)).repaired] == [(2, 1)]
    exact(flushed.verify())


def test_findings_beyond_the_printed_ones_are_repaired_too(flushed: Flusher) -> None:  # noqa: F811
    flushed.sql("ALTER TABLE pin_minutes UPDATE events = events + 1 WHERE slice_block < 7")
    flushed.sql("ALTER TABLE dead_letters UPDATE value = 'x' WHERE 1")
    repair_all(flushed, findings(flushed.verify()))
    exact(flushed.verify())


@pytest.mark.parametrize(
    "change", [{"pin_id": 999}, {"action": 2}, {"minute": -7200}, {"slice_block": 1, "arrived_at": 600}]
)
def test_rows_too_many_are_cleared(flushed: Flusher, change: dict[str, int]) -> None:  # noqa: F811
    cell = some_cell(flushed)
    cell |= {name: cell[name] + value if value < 0 else value for name, value in change.items()}
    insert_cell(flushed, cell)
    assert flushed.verify().exit_code == 1
    repair_all(flushed)
    exact(flushed.verify())


@pytest.mark.parametrize("ahead", [0, 77], ids=["next_block", "far_beyond"])
def test_slices_that_the_log_does_not_have_are_deleted(flushed: Flusher, ahead: int) -> None:  # noqa: F811
    cell = some_cell(flushed)
    insert_cell(flushed, cell | {"slice_block": RECORDS // 100 + 1 + ahead})
    assert flushed.verify().exit_code == 1
    assert len(repair_all(flushed).removed) == 1
    exact(flushed.verify())


def test_rows_of_an_epoch_that_never_was_are_deleted(flushed: Flusher) -> None:  # noqa: F811
    cell = some_cell(flushed)
    insert_cell(flushed, cell | {"version": 5 << EPOCH_SHIFT, "events": 9})
    assert flushed.verify().exit_code == 1
    repair_all(flushed)
    exact(flushed.verify())


def test_a_letter_too_many_is_deleted(flushed: Flusher) -> None:  # noqa: F811
    offset = middle(flushed)["start"]
    (free,) = flushed.sql(
        f"SELECT min(n) FROM (SELECT number + {offset} AS n FROM numbers(50))"
        " WHERE n NOT IN (SELECT offset FROM dead_letters)"
    )
    flushed.sql(
        "INSERT INTO dead_letters (source, topic, topic_id, partition, offset, timestamp, outcome, reason)"
        f" SELECT source, topic, topic_id, partition, {free[0]}, timestamp, outcome, reason FROM dead_letters LIMIT 1"
    )
    assert flushed.verify().exit_code == 1
    repair_all(flushed)
    exact(flushed.verify())


def test_missing_rows_of_the_unfinished_slice_come_back_and_those_ahead_of_the_ledger_stay(
    flushed: Flusher,  # noqa: F811
) -> None:
    (newest,) = flushed.sql(
        "SELECT slice_block, toUInt32(arrived_at), position FROM ingest_ledger FINAL ORDER BY start DESC LIMIT 1"
    )
    slice_block, arrived_at, position = newest
    flushed.sql(
        f"ALTER TABLE pin_minutes DELETE WHERE slice_block = {slice_block} AND arrived_at = {arrived_at} AND pin_id < 7"
    )
    before = flushed.sql(
        "SELECT pin_id, minute, events, version FROM pin_minutes FINAL"
        f" WHERE slice_block = {slice_block} AND arrived_at = {arrived_at}"
    )
    assert flushed.verify().exit_code == 1
    repair_all(flushed)
    exact(flushed.verify())
    after = flushed.sql(
        "SELECT pin_id, minute, events, version FROM pin_minutes FINAL"
        f" WHERE slice_block = {slice_block} AND arrived_at = {arrived_at}"
    )
    assert set(before) < set(after)
    assert {row[3] for row in set(after) - set(before)} == {position}


SEALED_DAMAGE = {
    "a partition of hours was dropped": "ALTER TABLE pin_hours DROP PARTITION ID '{day}'",
    "hours were deleted": "DELETE FROM pin_hours WHERE pin_id = 3",
    "an hour has another count": "ALTER TABLE pin_hours UPDATE saves = saves + 1 WHERE pin_id = 3",
    "two wrong counts of an hour cancel out": "ALTER TABLE pin_hours UPDATE"
    " saves = saves + if(pin_id = 1, 1, -1) WHERE pin_id < 3",
    "rows of sealed were deleted": "ALTER TABLE sealed DELETE WHERE window_start = {hour}",
    "a partition of minutes was dropped": "ALTER TABLE pin_minutes DROP PARTITION ID '{day}'",
}


@pytest.mark.parametrize("statement", SEALED_DAMAGE.values(), ids=SEALED_DAMAGE.keys())
def test_sealed_hours_that_do_not_add_up_are_opened_and_sealed_again(flushed: Flusher, statement: str) -> None:  # noqa: F811
    until = now_ms() // 1000 - 3600
    seal(flushed.settings.clickhouse, until)
    totals = "SELECT window_start, pin_id, saves FROM pin_engagement_1h ORDER BY ALL"
    before = flushed.sql(totals)
    ((day, hour),) = flushed.sql("SELECT toYYYYMMDD(min(hour)), toUInt32(min(hour)) FROM pin_minutes")
    flushed.sql(statement.format(day=day, hour=hour))
    assert flushed.sql(totals) != before or "pin_minutes" in statement, "readers read minutes only where they must"
    assert flushed.verify().exit_code == 1
    repair_all(flushed)
    assert flushed.sql(totals) == before
    exact(flushed.verify())
    seal(flushed.settings.clickhouse, until)
    assert flushed.sql(totals) == before
    exact(flushed.verify())
