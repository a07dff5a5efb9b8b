"""How long dead letters and replays are kept. They hold personal data; one setting is for the table and the topics."""

from pintally.schemas.actions import dead_letter_topic
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.retention import keep_dead_letters
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import dead_letter_retention, replay_retention
from pintally.streams.settings import KafkaSettings, TopicSettings


def apply_dead_letter_days(kafka: KafkaSettings, clickhouse: ClickHouseAddress, topics: TopicSettings) -> list[str]:
    """Set the retention of the table and the dead-letter topics to `dead_letter_days`, of replay topics a day longer.

    Returns the names of what was changed. Safe to repeat. Topics that do not exist are skipped.
    Raises KafkaUnavailable, KafkaRefused and SinkError.
    """
    changed = _set_retention(kafka, topics)
    if keep_dead_letters(clickhouse, topics.dead_letter_days):
        changed.append("table dead_letters")
    return changed


def _set_retention(kafka: KafkaSettings, topics: TopicSettings) -> list[str]:
    wanted = {dead_letter_topic(name): dead_letter_retention(topics) for name in topics.names.values()}
    wanted |= {name: replay_retention(topics) for name in topics.replay_names.values()}
    with open_admin(kafka) as admin:
        existing = set(admin.list_topics())
    return set_topic_configs(kafka, {name: configs for name, configs in wanted.items() if name in existing})
