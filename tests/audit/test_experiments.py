"""Experiment cells on the real engines (C32): counted, verified both ways, repaired, by the rules of each epoch."""

from dataclasses import replace

import pytest

from pintally.audit.findings import Kind
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.operations.repair.choice import Choice
from tests.audit.test_verify import (  # noqa: F401 - fixtures
    RECORDS,
    RULES,
    Flusher,
    change_rules,
    exact,
    flusher,
    hurried,
    kinds,
    now_ms,
    settings,
    shown,
)
from tests.operations.test_repair_on_engines import repair_all

FEED = replace(RULES, experiments=("feed",))
ALL = replace(RULES, experiments=("*",))
ARMS = "SELECT experiment, arm, sum(events), sum(trusted) FROM experiment_cells FINAL GROUP BY ALL ORDER BY ALL"


@pytest.fixture
def counted(flusher: Flusher) -> Flusher:  # noqa: F811
    """A log whose arms are all counted."""
    flusher.produce()
    flusher.flush(ALL)
    return flusher


def rules_of(log: Flusher, rules: Rules) -> None:
    """The rules that the ledger claims."""
    log.sql(f"ALTER TABLE ingest_starts UPDATE rules = '{rules.to_json()}' WHERE 1")
    log.sql(f"ALTER TABLE ingest_ledger UPDATE rules = '{rules.fingerprint}' WHERE 1")


def test_arms_are_counted_and_recounted(counted: Flusher) -> None:
    report = counted.verify()
    exact(report)
    found = {(experiment, arm): (events, trusted) for experiment, arm, events, trusted in counted.sql(ARMS)}
    assert found.keys() == {("feed", "control"), ("feed", "treatment"), ("checkout", "a"), ("checkout", "b")}
    assert found["feed", "treatment"] == found["checkout", "a"]
    assert all(0 < trusted < events for events, trusted in found.values())
    (source,) = report.sources
    assert [(source.cells,)] == counted.sql(
        "SELECT (SELECT count() FROM pin_minutes FINAL) + (SELECT count() FROM experiment_cells FINAL)"
    )


def test_buckets_are_those_that_anybody_can_compute(counted: Flusher) -> None:
    """By the formula that the table's comment gives; the log has the users 1 and 2."""
    users = counted.sql("SELECT DISTINCT bucket FROM experiment_cells ORDER BY ALL")
    formula = "SELECT DISTINCT intHash64(toUInt64(number + 1)) % 256 FROM numbers(2)"
    assert users == counted.sql(f"{formula} ORDER BY ALL")
    assert "intHash64(user_id) % 256" in str(counted.sql("SHOW CREATE experiment_cells"))


DAMAGE = {
    Kind.COUNT_TOO_HIGH: "ALTER TABLE experiment_cells UPDATE events = events + 1 WHERE slice_block = 3",
    Kind.ROW_MISSING: "ALTER TABLE experiment_cells DELETE WHERE slice_block = 3 AND experiment = 'checkout'",
    Kind.ROW_EXTRA: "INSERT INTO experiment_cells SELECT * REPLACE ('nobody' AS arm) FROM experiment_cells"
    " WHERE slice_block = 3 LIMIT 1",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_wrong_arms_are_named_and_mended(counted: Flusher, kind: Kind) -> None:
    before = counted.sql(ARMS)
    counted.sql(DAMAGE[kind])
    report = counted.verify()
    assert kinds(report) == {kind, Kind.INVARIANT}
    found = shown(report, kind)
    assert {each.table for each in found} == {"experiment_cells"}
    assert {each.arm for each in found} <= {"control", "treatment", "a", "b", "nobody"}
    assert repair_all(counted).repaired
    exact(counted.verify())
    assert [row for row in counted.sql(ARMS) if row[2]] == before
    assert not repair_all(counted).repaired, "a second run finds nothing to do"


SEALED_DAMAGE = {
    "ALTER TABLE experiment_hours UPDATE saves = saves + 1 WHERE arm = 'a'": {"experiment_hours", "sealed"},
    "ALTER TABLE experiment_hours DELETE WHERE arm = 'a'": {"experiment_hours", "sealed"},
    "INSERT INTO experiment_hours SELECT * FROM experiment_hours WHERE arm = 'a'": {"experiment_hours", "sealed"},
    "ALTER TABLE sealed UPDATE experiment_sum = 1 WHERE resolution = 'hour' AND experiment_sum != 0": {"sealed"},
}


@pytest.mark.parametrize(("damage", "named"), SEALED_DAMAGE.items())
def test_sealed_arms_are_recounted_both_ways_and_sealed_again(counted: Flusher, damage: str, named: set[str]) -> None:
    until = now_ms() // 1000 - 3600
    seal(counted.settings.clickhouse, until)
    assert counted.sql("SELECT count() > 0 FROM experiment_hours") == [(1,)]
    exact(counted.verify())
    counted.sql(damage)
    report = counted.verify()
    assert kinds(report) == {Kind.ROLLUP_DIFFERS}
    assert {each.source for each in report.findings.shown} == named
    assert {each.arm for each in report.findings.shown if each.source == "experiment_hours"} <= {"a"}
    repair_all(counted)
    exact(counted.verify())
    seal(counted.settings.clickhouse, until)
    exact(counted.verify())


def test_arms_that_are_not_by_the_rules_are_named(counted: Flusher) -> None:
    rules_of(counted, FEED)
    assert kinds(counted.verify()) == {Kind.ROW_EXTRA, Kind.LEDGER_DIFFERS}
    assert {found.experiment for found in shown(counted.verify(), Kind.ROW_EXTRA)} == {"checkout"}


def test_trusted_arms_that_are_not_by_the_rules_are_named(counted: Flusher) -> None:
    rules_of(counted, replace(ALL, trusted_cap=4))
    found = [each for each in counted.verify().findings.shown if each.table == "experiment_cells"]
    assert {(each.kind, each.field) for each in found} == {(Kind.COUNT_TOO_HIGH, "trusted")}


def test_each_epoch_counts_the_experiments_of_its_rules(flusher: Flusher) -> None:  # noqa: F811
    """Off, then one of them, then all; repair counts a slice by its own rules."""
    flusher.produce()
    flusher.flush(RULES, until=350)
    assert flusher.sql("SELECT count() FROM experiment_cells") == [(0,)]
    assert flusher.sql("SELECT DISTINCT sums FROM ingest_ledger") == [({},)]
    change_rules(flusher, FEED)
    exact(flusher.verify())
    assert {row[0] for row in flusher.sql(ARMS)} == {"feed"}
    repair_all(flusher, Choice(sources=frozenset([str(flusher.source)])))
    exact(flusher.verify())
    assert {row[0] for row in flusher.sql(ARMS)} == {"feed"}


def test_superseded_arms_are_named_and_deleted(counted: Flusher) -> None:
    (start, stream_time), *_ = counted.sql(
        "SELECT start, start_stream_time FROM ingest_ledger WHERE start > 400 LIMIT 1"
    )
    with counted.sink.session() as session:
        session.write_starts([StartRow(counted.source, 1, start, stream_time, ALL.to_json())])
        before = counted.sql("SELECT count() FROM experiment_cells FINAL")
        session.delete_superseded()
    assert counted.sql("SELECT count() FROM experiment_cells FINAL") < before
    assert counted.sql("SELECT uniqExact(slice_block, arrived_at) FROM experiment_cells") == counted.sql(
        f"SELECT count() FROM ingest_ledger WHERE start < {start} AND start < {RECORDS}"
    )
