"""Settings come from PINTALLY_* variables, else from what `pintally up` wrote, else from the defaults."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.schemas.rules import Rules
from pintally.sinks.clickhouse.scripts import script_of, statements
from pintally.sinks.reads.known_rows import AHEAD
from pintally.streams.settings import GROUPS, LOCAL_ENV, SETTINGS, Settings, load_settings
from pintally.streams.settings.variables import RENAMED


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variables and no local engines but those a test makes."""
    for name in [name for name in os.environ if name.startswith("PINTALLY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def announce(folder: Path, text: str) -> None:
    (folder / LOCAL_ENV).parent.mkdir()
    (folder / LOCAL_ENV).write_text(text)


def test_what_up_wrote_is_found_in_the_same_folder(empty_folder: Path) -> None:
    announce(empty_folder, "PINTALLY_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:4711\n")
    assert load_settings().kafka.bootstrap_servers == "127.0.0.1:4711"


def test_a_variable_wins_over_what_up_wrote(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(empty_folder, "PINTALLY_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:4711\n")
    monkeypatch.setenv("PINTALLY_KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    assert load_settings().kafka.bootstrap_servers == "broker:9092"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PINTALLY_PARTITIONS", "0"),
        ("PINTALLY_PARTITIONS", "many"),
        ("PINTALLY_SLICE_RECORDS", "-1"),
        ("PINTALLY_RETENTION_DAYS", "0"),
        ("PINTALLY_RETENTION_DAYS", "91"),
        ("PINTALLY_TOPIC_TIMESTAMPS", "SometimesTime"),
        ("PINTALLY_DEDUP", "perhaps"),
        ("PINTALLY_FLUSH_INTERVAL_SECONDS", "0"),
        ("PINTALLY_EXPERIMENTS", f"feed,{65 * 'x'}"),
        ("PINTALLY_FRAMED_TOPICS", "saves"),
        ("PINTALLY_FRAMED_TOPICS", "save;click"),
        ("PINTALLY_FRAMED_TOPICS", "engagement.save.v1"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(PintallyError) as refused:
        load_settings()
    assert name in refused.value.what
    assert repr(value) in refused.value.what
    assert name in refused.value.remedy


@pytest.mark.parametrize("old", sorted(RENAMED))
def test_a_name_that_a_setting_had_once_is_refused_with_the_new_one(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PINTALLY_{old}", "1")
    with pytest.raises(PintallyError) as refused:
        load_settings()
    assert refused.value.what.startswith(f"setting PINTALLY_{old}:")
    assert refused.value.remedy == f"Set PINTALLY_{RENAMED[old]} instead."
    assert RENAMED[old].lower() in SETTINGS


def test_a_name_that_no_setting_has_is_no_argument() -> None:
    with pytest.raises(KeyError, match="kafka"):
        Settings.of(None, kafka="a:1")
    with pytest.raises(KeyError, match="group"):
        Settings.of(None).changed(group="mine")


def test_a_group_holds_the_password_of_one_engine_alone() -> None:
    settings = Settings.of(None, kafka_password="for Kafka", clickhouse_password="for ClickHouse")
    held = {name: [key for key in type(getattr(settings, name)).model_fields if "password" in key] for name in GROUPS}
    assert {name: keys for name, keys in held.items() if keys} == {"kafka": ["password"], "clickhouse": ["password"]}


def test_the_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTALLY_CLICKHOUSE_PASSWORD", "hunter2")
    settings = load_settings()
    assert settings.clickhouse.password.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{settings!r} {settings} {settings.clickhouse!r} {settings.clickhouse}"


def test_a_child_process_has_the_same_settings_passwords_included_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PINTALLY_KAFKA_GROUP_ID", "the parent's own")
    settings = Settings.of(
        kafka_password=SecretStr("for Kafka"), clickhouse_password=SecretStr("for ClickHouse"), dedup=False
    )
    wanted = settings.changed(kafka_group_id="the child's")
    for name, value in wanted.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.of() == wanted


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, each in SETTINGS.items() if not each.field.description] == []


def test_no_event_is_counted_that_the_tables_would_drop_at_once() -> None:
    """The bound on retention_days is the time-to-live of the minutes, and of the hours made from them."""
    (bound,) = [rule.le for rule in SETTINGS["retention_days"].field.metadata if hasattr(rule, "le")]
    for table in ("pin_minutes", "pin_hours"):
        (created,) = [each for each in statements(script_of("001_tables.sql")) if each.split()[5] == table]
        assert re.findall(r"INTERVAL (\d+) DAY", created) == [str(bound)]


def test_tops_look_for_tiles_in_every_bucket_that_may_have_them() -> None:
    (bound,) = [rule.le for rule in SETTINGS["max_clock_skew_seconds"].field.metadata if hasattr(rule, "le")]
    assert bound == AHEAD
    assert "arrived_at >= of.3 - INTERVAL 1 DAY" in script_of("tops.sql")


def test_a_prefix_comes_before_every_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTALLY_TOPIC_PREFIX", "eu.")
    assert load_settings().topics.names == {action: f"eu.engagement.{action.label}.v1" for action in Action}


@given(lateness=st.integers(0, 10**6), skew=st.integers(0, 86_400), days=st.integers(1, 90), size=st.integers(1, 10**9))
def test_rules_are_the_settings_in_milliseconds(lateness: int, skew: int, days: int, size: int) -> None:
    rules = Settings.of(
        allowed_lateness_seconds=lateness, max_clock_skew_seconds=skew, retention_days=days, slice_records=size
    ).rules.to_rules()
    assert rules.allowed_lateness_ms == lateness * 1000
    assert rules.max_clock_skew_ms == skew * 1000
    assert rules.retention_ms == days * 24 * 60 * 60 * 1000
    assert rules.slice_records == size


@pytest.mark.parametrize("prefix", ["", "eu."])
def test_framed_topics_are_those_of_the_actions_that_are_named_and_their_replay_topics(prefix: str) -> None:
    rules = Settings.of(None, framed_topics=" closeup, save,,save").rules
    assert rules.framed_topics == "save,closeup"
    for action in Action:
        topic, wanted = action.topic(prefix), 0 if action is Action.CLICK else 5
        assert [rules.in_topic(name).prefix_bytes for name in (topic, f"{topic}.replay")] == [wanted, wanted]
    assert {Settings.of(None).rules.in_topic(action.topic(prefix)) for action in Action} == {Rules()}
