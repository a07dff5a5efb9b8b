"""How long dead letters and replays are kept, which hold what identifies a person: one setting for table and topics."""

from pintally.schemas.actions import dead_letter_topic
from pintally.sinks.clickhouse.retention import keep_dead_letters
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import dead_letter_retention, replay_retention
from pintally.streams.settings import ClickHouseSettings, KafkaSettings, TopicSettings


def apply_dead_letter_days(kafka: KafkaSettings, clickhouse: ClickHouseSettings, topics: TopicSettings) -> list[str]:
    """Have the table and the dead-letter topics keep letters for `dead_letter_days`, and replay topics what was sent to
    them a day longer; the names of what was changed.

    Safe to repeat. Topics that do not exist are left out. Raises KafkaUnavailable, KafkaRefused and SinkError.
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
