"""Members of arms of a real log: written, found wrong by `verify`, mended by `repair`, counted as users (C36)."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pintally import cli
from pintally.audit.findings import Kind
from pintally.schemas.rows import StartRow
from pintally.schemas.user_keys import UserKey
from pintally.sinks.clickhouse.retention import keep_members
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.counting.slices import Base
from tests.audit.test_verify import (  # noqa: F401 - fixtures
    DAY_MS,
    LONG_AGO_MS,
    Flusher,
    exact,
    flusher,
    hurried,
    kinds,
    produce_in_the_evening,
    settings,
    shown,
)
from tests.audit.test_verify import RULES as PLAIN
from tests.counting.test_members_on_engines import HASHES, log  # noqa: F401 - fixture
from tests.counting.test_user_hash import OTHER, PUBLISHED
from tests.operations.test_repair_on_engines import findings, repair_all

RULES = replace(PLAIN, user_key=UserKey.of(PUBLISHED).id, experiments=("*",))
SPAN = ("--since", "2000-01-01", "--until", "2100-01-01", "--json")
TOTALS = "SELECT experiment, arm, sum(events) FROM {} FINAL GROUP BY ALL ORDER BY ALL"
DAMAGE = {
    Kind.COUNT_TOO_HIGH: "ALTER TABLE arm_members UPDATE events = events + 1 WHERE slice_block = 3",
    Kind.ROW_MISSING: "ALTER TABLE arm_members DELETE WHERE slice_block = 3 AND arm = 'a'",
    Kind.ROW_EXTRA: "INSERT INTO arm_members SELECT * REPLACE (user_hash + 1 AS user_hash) FROM arm_members LIMIT 1",
}


def told(log: Flusher, name: str, least_users: int = 1) -> dict[str, Any]:  # noqa: F811
    """The JSON of `pintally experiment`."""
    env = log.settings.changed(least_users=least_users).environment()
    ended = CliRunner().invoke(cli.app, ["experiment", name, *SPAN], env=env, catch_exceptions=False)
    return dict(json.loads(ended.stdout))


def users(log: Flusher, name: str, least_users: int = 1) -> list[tuple[str, int | None, int | None]]:  # noqa: F811
    """Of each arm: its name, its users, and those who were in several arms."""
    arms = told(log, name, least_users)["users"]
    return [(arm["arm"], arm["users"], arm["in_several_arms"]) for arm in arms]


@pytest.mark.parametrize("kind", DAMAGE)
def test_wrong_members_of_arms_are_named_and_mended(log: Flusher, kind: Kind) -> None:  # noqa: F811
    log.flush(RULES)
    exact(log.verify())
    assert log.sql(TOTALS.format("arm_members")) == log.sql(TOTALS.format("experiment_cells")) != []
    log.sql(DAMAGE[kind])
    report = log.verify()
    assert kind in kinds(report)
    assert {found.table for found in shown(report, kind)} == {"arm_members"}
    assert {found.experiment for found in shown(report, kind)} <= {"feed", "checkout"}
    assert not re.search("|".join(map(str, HASHES)), str(report)), "it does not say whose row it is"
    assert repair_all(log, findings(report)).repaired
    exact(log.verify())


def test_users_of_an_arm_are_counted_once_and_those_of_several_arms_are_told(log: Flusher) -> None:  # noqa: F811
    """The log has the users 1 and 2, who were in all arms of each experiment."""
    log.flush(RULES)
    assert users(log, "checkout") == [("a", 2, 2), ("b", 2, 2)]
    assert users(log, "checkout", least_users=3) == [("a", None, None), ("b", None, None)], "groups are too small"
    log.sql("ALTER TABLE arm_members DELETE WHERE slice_block = 3")
    missing = told(log, "checkout")
    assert missing["users"] is None
    assert "not counted in all of these hours" in missing["users_unknown"]


def test_without_a_key_users_of_arms_are_unknown(flusher: Flusher) -> None:  # noqa: F811
    flusher.produce()
    flusher.flush(replace(PLAIN, experiments=("*",)))
    exact(flusher.verify())
    assert flusher.sql("SELECT count() FROM arm_members") == [(0,)]
    assert told(flusher, "checkout")["users"] is None


def test_users_of_two_keys_are_checked_with_their_own_and_not_added_up(log: Flusher) -> None:  # noqa: F811
    log.flush(RULES, until=650)
    last = "SELECT start, start_stream_time FROM ingest_ledger FINAL ORDER BY start DESC LIMIT 1"
    ((start, stream_time),) = log.sql(last)
    log.settings = log.settings.changed(user_key=f"{OTHER},{PUBLISHED}")
    newer = replace(RULES, user_key=UserKey.of(OTHER).id)
    with log.sink.session() as session:
        session.write_starts([StartRow(log.source, 1, start, stream_time, newer.to_json())])
        session.delete_superseded()
    log.flush(newer, 1, Base(0, 0, start, stream_time))
    exact(log.verify())
    assert log.sql("SELECT uniqExact(user_key), uniqExact(user_hash) FROM arm_members") == [(2, 4)]
    assert log.sql(TOTALS.format("arm_members")) == log.sql(TOTALS.format("experiment_cells"))
    assert "key" in told(log, "checkout")["users_unknown"]


def test_members_of_arms_are_deleted_with_age_and_verify_asks_for_none(flusher: Flusher) -> None:  # noqa: F811
    flusher.settings = flusher.settings.changed(user_key=PUBLISHED, member_days=3)
    flusher.produce(ago_ms=4 * DAY_MS + LONG_AGO_MS)
    flusher.flush(RULES)
    assert keep_members(flusher.settings.clickhouse, 3)
    flusher.sql("OPTIMIZE TABLE arm_members FINAL")
    flusher.sql("OPTIMIZE TABLE pin_members FINAL")
    assert flusher.sql(TOTALS.format("arm_members")) == []
    exact(flusher.verify())
    assert not repair_all(flusher).repaired
    assert "deleted with age" in told(flusher, "checkout")["users_unknown"]


WRONG_NUMBERS = {
    "a number is wrong": "ALTER TABLE arm_day_users UPDATE users = users + 1 WHERE arm = 'a'",
    "those in several arms are wrong": "ALTER TABLE arm_day_users UPDATE in_several_arms = 0 WHERE arm = 'a'",
    "events are wrong": "ALTER TABLE arm_day_users UPDATE events = events + 1 WHERE days = 1",
    "rows are gone": "ALTER TABLE arm_day_users DELETE WHERE experiment = 'checkout'",
    "rows stand twice": "INSERT INTO arm_day_users SELECT * FROM arm_day_users",
}


def test_verify_finds_wrong_numbers_of_users_of_arms_and_they_are_sealed_again(flusher: Flusher) -> None:  # noqa: F811
    log, log.settings = flusher, flusher.settings.changed(user_key=PUBLISHED)  # noqa: F811
    until = produce_in_the_evening(log)
    log.flush(RULES)
    seal(log.settings.clickhouse, until)
    assert len(seal_arm_users(log.settings.clickhouse, 2)) == 1
    assert log.sql("SELECT max(users), max(in_several_arms) FROM arm_day_users WHERE experiment = 'checkout'") == [
        (2, 2)
    ]
    exact(log.verify())
    for damage in WRONG_NUMBERS.values():
        log.sql(damage)
        report = log.verify()
        assert kinds(report) == {Kind.ROLLUP_DIFFERS}, damage
        assert {found.source for found in shown(report, Kind.ROLLUP_DIFFERS)} == {"arm_day_users"}
        with log.sink.session() as session:
            assert session.reopen_unequal() != []
        seal_arm_users(log.settings.clickhouse, 2)
        exact(log.verify())


def test_arms_of_an_erased_person_have_one_user_less(log: Flusher) -> None:  # noqa: F811
    log.flush(RULES)
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    [remove] = re.findall(r"^DELETE FROM arm_members[^;]*", page, re.MULTILINE)
    log.sql(remove.replace("(0)", f"({HASHES[0]})"))
    assert log.sql("SELECT DISTINCT user_hash FROM arm_members") == [(HASHES[1],)]
    assert kinds(log.verify()) <= {Kind.ROW_MISSING, Kind.INVARIANT}
