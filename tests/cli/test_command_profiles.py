"""Worker, sealing, verify, status, top and repair as users with any settings profile: right, or refused by name."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from pintally.audit.errors import CannotTell
from pintally.cli.status import read_status
from pintally.cli.top_answer import Asked, newest, past, recent
from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.clickhouse.users import BEHIND_VIEWS
from pintally.streams.kafka.topics import create_topics
from pintally.streams.operations.change.cluster_state import read_cluster_state
from pintally.streams.operations.repair.choice import Choice
from pintally.streams.operations.repair.repair import repair
from pintally.streams.settings import Settings
from tests.audit.test_verify import TABLES, Flusher
from tests.support.engines import TestEngines, drop_topics
from tests.support.own_clickhouse import clickhouse_with
from tests.support.profiles import OF_THE_READER, PROFILES

DATABASE = "commands"
COUNTS = "SELECT window_start, pin_id, saves, clicks, closeups FROM pin_engagement_{} ORDER BY ALL"
# Where the profile leaves no choice: who only reads may not count, and what is fixed cannot be set.
MUST_BE_REFUSED = {name for name in PROFILES if name.endswith("_fixed")} - {"small_limits_fixed"}
ONLY_READ = {"readonly_1", "readonly_2", "readonly_1_and_nulls", "readonly_1_and_break", "readonly_1_and_limits"}
POLICIES = {name for name, profile in PROFILES.items() if profile.only_rows}


@pytest.fixture(scope="module")
def plain(engines: TestEngines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flusher]:
    """A log, and an Flusher as the user without a profile."""
    name = f"t{uuid4().hex[:12]}"
    with clickhouse_with(tmp_path_factory.mktemp("clickhouse"), PROFILES, DATABASE) as address:
        settings = Settings.of(
            env_file=None,
            kafka_bootstrap_servers=engines.addresses.kafka,
            clickhouse_host=address.host,
            clickhouse_port=address.port,
            clickhouse_http_port=address.http_port,
            clickhouse_database=DATABASE,
            topic_prefix=f"{name}.",
            kafka_group_id=name,
            partitions=1,
            topic_timestamps="CreateTime",
        )
        migrate(settings.clickhouse)
        create_topics(*settings.sources)
        try:
            flusher = Flusher(settings)
            flusher.produce(150, ago_ms=5 * 3_600_000)
            yield flusher
        finally:
            drop_topics(engines.addresses, settings.topics.topic_prefix)


@pytest.fixture(scope="module")
def until(plain: Flusher) -> int:
    """An hour before which all may be sealed."""
    plain.flush()
    return int(plain.sql("SELECT toUnixTimestamp(toStartOfHour(max(minute))) FROM pin_minutes")[0][0])


@pytest.fixture(scope="module")
def truth(plain: Flusher, until: int) -> dict[str, list[tuple[Any, ...]]]:
    """What the views show in the end."""
    seal(plain.settings.clickhouse, until)
    return {length: plain.sql(COUNTS.format(length)) for length in ("1m", "1h", "1d")}


def as_user(plain: Flusher, name: str) -> Flusher:
    """The same log and tables, as the user with the profile."""
    other = Flusher.__new__(Flusher)
    other.settings = plain.settings.changed(clickhouse_user=name)
    other.source, other.start_stream_time = plain.source, 0
    other.sink = ClickHouseSink(other.settings.clickhouse)
    return other


def refused(call: Callable[[], Any], name: str) -> str:
    """What a refusal said, if it was one: the name of what the profile has, and not to be tried again."""
    words = [*PROFILES[name].settings, *PROFILES[name].only_rows]
    error: SinkError | CannotTell | None = None
    try:
        call()
    except (SinkError, CannotTell) as refusal:
        error = refusal
    if error is None:
        return ""
    assert not isinstance(error, SinkUnavailable), error
    assert any(word in str(error) for word in words), error
    assert error.remedy
    return str(error)


@pytest.mark.parametrize("name", [name for name in PROFILES if "compatibility" not in name or "23" in name])
def test_right_or_refused(
    plain: Flusher,
    until: int,
    truth: dict[str, list[tuple[Any, ...]]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pintally.audit.verify.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("pintally.audit.looks.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("pintally.sinks.clickhouse.row_policies.LOOK_SECONDS", 0.0)
    if name not in POLICIES:  # an empty table has no plan that would tell of a policy
        for table in TABLES:
            plain.sql(f"TRUNCATE TABLE {table}")
    user = as_user(plain, name)
    cannot_write = name in MUST_BE_REFUSED | ONLY_READ | POLICIES
    said = refused(user.flush, name)
    assert bool(said) == cannot_write, said
    if cannot_write:
        plain.flush()
    said = refused(lambda: seal(user.settings.clickhouse, until), name)
    assert bool(said) == cannot_write, said
    if cannot_write:
        seal(plain.settings.clickhouse, until)
    assert {length: plain.sql(COUNTS.format(length)) for length in truth} == truth
    _reads(user, name)
    said = refused(lambda: _repair(user), name)
    assert bool(said) == cannot_write, said


def _reads(user: Flusher, name: str) -> None:
    """What only reads is refused where a profile that may not be changed would make it wrong, and only there."""
    harmless = name in {"readonly_1", "readonly_2", "readonly_1_and_limits", "small_limits_fixed"}
    wrong = name in MUST_BE_REFUSED | POLICIES | {"readonly_1_and_nulls", "readonly_1_and_break"}
    assert harmless or wrong or name not in ONLY_READ

    def verify() -> None:
        report = user.verify()
        assert report.exit_code == 0, report.findings.shown

    def status() -> None:
        (source,) = [each for each in read_status(user.settings).sources if each.source == user.source]
        assert (source.lag, source.outcomes.counted > 0) == (0, True)

    def top() -> None:
        assert _top(user)

    said = refused(verify, name)
    assert bool(said) == wrong, said
    said = refused(status, name)
    assert bool(said) == wrong, said
    said = refused(top, name)
    assert bool(said) == (wrong and name != "only_some_ledger"), said


def _top(flusher: Flusher) -> list[dict[str, Any]]:
    with Connection(flusher.settings.clickhouse, 30, only_reads=True) as connection:
        refuse_hidden_rows(connection, BEHIND_VIEWS)
        start = newest(connection, "1h")
        assert start is not None
        assert past(connection, "1h", start, Asked())["pins"]
        pins: list[dict[str, Any]] = recent(connection, "24h", Asked())["pins"]
        return pins


def _repair(flusher: Flusher) -> None:
    with flusher.sink.session() as session:
        found = read_cluster_state(flusher.settings.kafka, flusher.settings.topics, flusher.sink, session)
        done = repair(*flusher.settings.sources, session, found, Choice())
    assert (done.repaired, done.exit_code) == ([], 0)


def test_every_profile_is_used() -> None:
    assert len(PROFILES) >= 40
    assert OF_THE_READER.keys() <= PROFILES.keys()
