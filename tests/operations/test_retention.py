"""Dead letters are kept as long as one setting says, in the table and in the topics."""

import json

from pintally.schemas.actions import dead_letter_topic
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.retention import dead_letter_days
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import read_topic_configs, set_topic_configs
from pintally.streams.operations.retention import apply_dead_letter_days
from pintally.streams.settings import Settings
from tests.e2e.running import pintally

DAY_MS = 86_400_000


def kept(settings: Settings) -> tuple[int | None, set[tuple[str, str]]]:
    names = [dead_letter_topic(topic) for topic in settings.topics.names.values()]
    with Connection(settings.clickhouse, 30) as connection, open_admin(settings.kafka) as admin:
        found = read_topic_configs(admin, settings.kafka, names).values()
        topics = {(configs["retention.ms"], configs["segment.ms"]) for configs in found}
        return dead_letter_days(connection), topics


def test_topics_are_made_with_the_setting_and_migrate_sets_the_table(stack: Settings) -> None:
    assert kept(stack)[1] == {(str(14 * DAY_MS), str(DAY_MS))}
    report = json.loads(pintally(stack, "migrate", "--json").stdout)
    assert (report["dead_letter_days"], report["dead_letter_days_set"]) == (14, ["table dead_letters"])
    assert kept(stack)[0] == 14


def test_another_setting_is_applied_to_what_is_there_once(stack: Settings) -> None:
    settings = stack.changed(dead_letter_days=3)
    assert len(apply_dead_letter_days(settings.kafka, settings.clickhouse, settings.topics)) == 7
    assert kept(settings) == (3, {(str(3 * DAY_MS), str(DAY_MS))})
    assert apply_dead_letter_days(settings.kafka, settings.clickhouse, settings.topics) == []


def test_replay_topics_are_kept_a_day_longer(stack: Settings) -> None:
    """A letter that is still there must have come after all that was forgotten of replays."""

    def kept_replays() -> set[tuple[str, str]]:
        with open_admin(stack.kafka) as admin:
            found = read_topic_configs(admin, stack.kafka, stack.topics.replay_names.values()).values()
        return {(configs["retention.ms"], configs["segment.ms"]) for configs in found}

    assert kept_replays() == {(str(15 * DAY_MS), str(DAY_MS))}
    forever = {"retention.ms": "-1"}  # as they were once
    set_topic_configs(stack.kafka, dict.fromkeys(stack.topics.replay_names.values(), forever))
    assert set(apply_dead_letter_days(stack.kafka, stack.clickhouse, stack.topics)) == {
        *stack.topics.replay_names.values(),
        "table dead_letters",
    }
    assert kept_replays() == {(str(15 * DAY_MS), str(DAY_MS))}


def test_old_letters_are_deleted(stack: Settings) -> None:
    apply_dead_letter_days(stack.kafka, stack.clickhouse, stack.topics)
    with Connection(stack.clickhouse, 30) as connection:
        connection.execute(
            "INSERT INTO dead_letters (topic, offset, outcome, written_at)"
            " SELECT 't', number, 'invalid', now() - INTERVAL 10 * number DAY FROM numbers(4)"
        )
        connection.execute("OPTIMIZE TABLE dead_letters FINAL")
        assert connection.rows("SELECT offset FROM dead_letters ORDER BY offset") == [(0,), (1,)]
