"""Members of a real log: written, found wrong by `verify`, mended by `repair`; nothing where nobody asks for them.

The log is that of the tests of `verify`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from pintally import cli
from pintally.audit.findings import Kind
from pintally.schemas.errors import PintallyError
from pintally.schemas.rows import StartRow
from pintally.schemas.user_keys import UserKey
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users
from pintally.streams.counting.slices import Base
from pintally.streams.operations.repair.choice import Choice
from pintally.streams.settings import load_settings
from tests.audit.test_verify import (  # noqa: F401 - fixtures
    FINAL_MS,
    LONG_AGO_MS,
    Flusher,
    exact,
    flusher,
    hurried,
    kinds,
    now_ms,
    produce_in_the_evening,
    settings,
    shown,
    topics_of_a_module,
)
from tests.audit.test_verify import RULES as PLAIN
from tests.counting.test_user_hash import OTHER, PUBLISHED, sip_hash
from tests.operations.test_repair_on_engines import findings, repair_all
from tests.support.engines import TestEngines

RULES = replace(PLAIN, user_key=UserKey.of(PUBLISHED).id)
HASHES = [sip_hash(PUBLISHED, user.to_bytes(8, "little")) for user in (1, 2)]
SUMS = "SELECT sum(events) FROM {} FINAL"
DAMAGE = {
    "a row is too high": (
        Kind.COUNT_TOO_HIGH,
        "ALTER TABLE pin_members UPDATE events = events + 1 WHERE slice_block = 3",
    ),
    "trusted is too high": (
        Kind.COUNT_TOO_HIGH,
        "ALTER TABLE pin_members UPDATE trusted = trusted + 1 WHERE slice_block = 3",
    ),
    "rows are gone": (Kind.ROW_MISSING, "ALTER TABLE pin_members DELETE WHERE slice_block = 3"),
    "a row of nobody": (
        Kind.ROW_EXTRA,
        "INSERT INTO pin_members SELECT * REPLACE (user_hash + 1 AS user_hash) FROM pin_members LIMIT 1",
    ),
    "a row of another key": (
        Kind.ROW_EXTRA,
        "INSERT INTO pin_members SELECT * REPLACE (user_key + 1 AS user_key, version + 1 AS version) FROM pin_members"
        " WHERE slice_block = 3",
    ),
}


@pytest.fixture
def log(flusher: Flusher) -> Flusher:  # noqa: F811
    """A log, and a database for it; the process has the key."""
    flusher.settings = flusher.settings.changed(user_key=PUBLISHED)
    flusher.produce()
    return flusher


def test_members_are_the_users_of_each_pin_and_hour_and_verify_finds_them_exact(log: Flusher) -> None:
    log.flush(RULES)
    report = log.verify()
    exact(report)
    assert log.sql(SUMS.format("pin_members")) == log.sql(SUMS.format("pin_minutes")) != [(0,)]
    assert log.sql("SELECT DISTINCT user_hash FROM pin_members ORDER BY user_hash") == [
        (each,) for each in sorted(HASHES)
    ]
    assert log.sql("SELECT DISTINCT lower(leftPad(hex(user_key), 8, '0')) FROM pin_members") == [(RULES.user_key,)]
    by_pin = "SELECT toStartOfHour({}) AS h, pin_id, action, toString(surface), sum(events) FROM {} FINAL"
    by_pin += " GROUP BY ALL ORDER BY ALL"
    assert log.sql(by_pin.format("hour", "pin_members")) == log.sql(by_pin.format("minute", "pin_minutes"))


def test_without_the_rule_there_is_no_member_and_no_key_is_needed(flusher: Flusher) -> None:  # noqa: F811
    flusher.produce()
    flusher.flush()
    exact(flusher.verify())
    assert flusher.sql("SELECT count() FROM pin_members") == [(0,)]
    assert flusher.sql("SELECT DISTINCT sums FROM ingest_ledger") == [({},)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_verify_names_wrong_members_and_repair_mends_them(log: Flusher, damage: str) -> None:
    log.flush(RULES)
    kind, statement = DAMAGE[damage]
    log.sql(statement)
    report = log.verify()
    assert kind in kinds(report)
    assert {found.table for found in shown(report, kind)} == {"pin_members"}
    assert not re.search("|".join(map(str, HASHES)), str(report)), "it does not say whose row it is"
    assert repair_all(log, findings(report)).repaired
    exact(log.verify())


def test_members_that_the_rules_do_not_count_are_found_and_cleared(log: Flusher) -> None:
    log.flush(RULES)
    log.sql("CREATE TABLE kept AS pin_members")
    log.sql("INSERT INTO kept SELECT * FROM pin_members LIMIT 1")
    log.sql("TRUNCATE TABLE pin_members")
    for table in ("ingest_starts", "ingest_ledger", "pin_minutes"):
        log.sql(f"TRUNCATE TABLE {table}")
    log.flush()
    exact(log.verify())
    log.sql("INSERT INTO pin_members SELECT * FROM kept")
    report = log.verify()
    assert kinds(report) == {Kind.ROW_EXTRA}
    assert repair_all(log, findings(report)).repaired
    assert log.sql(SUMS.format("pin_members")) == [(0,)]


def test_without_the_key_verify_and_repair_say_which_one_is_missing(log: Flusher) -> None:
    log.flush(RULES)
    log.settings = log.settings.changed(user_key=OTHER)
    report = log.verify()
    assert report.exit_code == 2
    assert any(RULES.user_key in line and "PINTALLY_USER_KEY" in line for line in report.unverifiable)
    assert not any(PUBLISHED in line for line in report.unverifiable)
    with pytest.raises(PintallyError, match=RULES.user_key):
        repair_all(log, Choice(sources=frozenset([str(log.source)])))


def test_members_of_an_older_epoch_are_deleted_and_each_epoch_is_checked_with_its_key(log: Flusher) -> None:
    log.flush(RULES, until=650)
    ((start, stream_time),) = log.sql(
        "SELECT start, start_stream_time FROM ingest_ledger FINAL ORDER BY start DESC LIMIT 1"
    )
    log.settings = log.settings.changed(user_key=f"{OTHER},{PUBLISHED}")
    with log.sink.session() as session:
        newer = replace(RULES, user_key=UserKey.of(OTHER).id)
        session.write_starts([StartRow(log.source, 1, start, stream_time, newer.to_json())])
        session.delete_superseded()
    log.flush(newer, 1, Base(0, 0, start, stream_time))
    exact(log.verify())
    assert log.sql("SELECT uniqExact(user_key), uniqExact(user_hash) FROM pin_members") == [(2, 4)]
    assert log.sql(SUMS.format("pin_members")) == log.sql(SUMS.format("pin_minutes"))


def test_to_count_users_a_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTALLY_COUNT_USERS", "true")
    with pytest.raises(PintallyError) as refused:
        load_settings()
    assert refused.value.what.startswith("setting PINTALLY_USER_KEY: it is not set, and PINTALLY_COUNT_USERS")
    assert "openssl rand -hex 16" in refused.value.remedy
    monkeypatch.setenv("PINTALLY_USER_KEY", PUBLISHED)
    rules = load_settings().rules.to_rules()
    assert rules.user_key == UserKey.of(PUBLISHED).id
    assert PUBLISHED not in rules.to_json()


ABOVE = 20  # users with more events in an hour are flagged
WRONG_NUMBERS = {
    "a number is wrong": "ALTER TABLE pin_hour_users UPDATE users = users + 1 WHERE pin_id = 3",
    "an action's number is wrong": "ALTER TABLE pin_day_users UPDATE saves_users = NULL WHERE pin_id = 3",
    "rows are gone": "ALTER TABLE pin_hour_users DELETE WHERE surface = ''",
    "rows stand twice": "INSERT INTO pin_day_users SELECT * FROM pin_day_users",
    "what others did is wrong": "ALTER TABLE pin_hour_users UPDATE unflagged_saves = 9 WHERE pin_id = 3",
    "a flag is gone": "ALTER TABLE flagged_users DELETE WHERE events = (SELECT max(events) FROM flagged_users)",
    "a flag is too many": "INSERT INTO flagged_users SELECT hour, 1, 2, 30, 3, seal FROM flagged_users"
    " ORDER BY seal DESC LIMIT 1",
    "their number is wrong": "INSERT INTO user_seals SELECT * REPLACE (flagged_users + 1 AS flagged_users)"
    " FROM user_seals FINAL WHERE resolution = 'hour'",
}


@pytest.fixture(scope="module")
def sealed_users(engines: TestEngines) -> Iterator[Flusher]:
    """A day of members that are sealed. Who damages what is sealed has it sealed again."""
    with topics_of_a_module(engines) as log:
        log.settings = log.settings.changed(user_key=PUBLISHED)
        until = produce_in_the_evening(log)
        log.flush(RULES)
        seal(log.settings.clickhouse, until)
        assert len(seal_users(log.settings.clickhouse, 2, ABOVE).days) == 1
        yield log


@pytest.mark.parametrize("damage", WRONG_NUMBERS)
@pytest.mark.usefixtures("hurried")
def test_verify_finds_wrong_numbers_of_users_and_repair_has_them_sealed_again(
    sealed_users: Flusher, damage: str
) -> None:
    log = sealed_users
    assert log.sql("SELECT max(users) > 1 FROM flagged_users_1h") == [(True,)]
    assert log.sql("SELECT max(users), max(saves_users) FROM pin_users_1d") == [(2, 2)]
    exact(log.verify())
    log.sql(WRONG_NUMBERS[damage])
    assert kinds(log.verify()) == {Kind.ROLLUP_DIFFERS}
    with log.sink.session() as session:
        assert session.reopen_unequal() != []
        seal_users(log.settings.clickhouse, 2, ABOVE)
        exact(log.verify())
        assert session.reopen_unequal() == []


def test_explain_tells_whether_the_user_of_an_event_is_flagged_and_not_who_it_is(flusher: Flusher) -> None:  # noqa: F811
    """User 1 does three times as much as user 2: the limit of this test is between them."""
    log, log.settings = flusher, flusher.settings.changed(user_key=PUBLISHED)
    log.produce(ago_ms=LONG_AGO_MS)
    log.flush(RULES)
    of_users = "SELECT toUnixTimestamp(hour), sumIf(events, user_hash = {}), sumIf(events, user_hash = {})"
    of_users += " FROM pin_members FINAL GROUP BY 1"
    hour, busy, other = max(log.sql(of_users.format(*HASHES)), key=lambda row: row[1])
    seal(log.settings.clickhouse, (now_ms() - FINAL_MS) // 1000)
    seal_users(log.settings.clickhouse, 1, other)
    seen: dict[str, Any] = {}
    for record in log.read():
        event = event_of(record.value)
        if event.get("occurred_at", 0) // 3_600_000 * 3_600 == hour and event["user_id"] not in seen:
            told = explained(log, event["event_id"], record.offset)
            seen |= {event["user_id"]: told["cell"]} if told["outcome"] == "counted" else {}
    flags = {user: cell["member"]["flag"] for user, cell in seen.items()}
    assert {user: (flag["is_flagged"], flag["above"], flag["events"]) for user, flag in flags.items()} == {
        "1": (True, other, busy),
        "2": (False, other, None),
    }
    assert not re.search("|".join(map(str, HASHES)), str(seen))


def event_of(value: bytes | None) -> dict[str, Any]:
    """The event of a record; empty where it is none."""
    try:
        event: dict[str, Any] = json.loads(value or b"")
    except ValueError:
        return {}
    return event if {"event_id", "user_id", "occurred_at"} <= event.keys() else {}


def explained(log: Flusher, event_id: str, offset: int) -> dict[str, Any]:
    """What `pintally explain` says of one of the records of an event."""
    env = log.settings.environment()
    ended = CliRunner().invoke(cli.app, ["explain", event_id, "--json"], env=env, catch_exceptions=False)
    told: list[dict[str, Any]] = json.loads(ended.stdout)["records"]
    return next(each for each in told if each["place"].endswith(f"@{offset}"))
