"""Topics with the settings that docs/compatibility.md lists, made on the real broker."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pintally.schemas.errors import Refusal
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.counting.refusals import refuse_topic
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import topic_differences
from pintally.streams.kafka.topics import create_topics, describe_topics
from pintally.streams.settings import Settings
from tests.compatibility.test_producers import RECORDS, produce_with_kafka_python
from tests.compatibility.topic_settings import COUNTED, NAMED, REFUSED, TopicCase
from tests.e2e.running import Traffic, verify, wait_caught_up, workers
from tests.support.all_cells import all_cells
from tests.support.engines import TestEngines, drop_database, drop_topics


@pytest.fixture
def clean(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    yield settings
    drop_topics(engines.addresses, settings.topics.topic_prefix)
    drop_database(engines.addresses, settings.clickhouse.database)


def make(settings: Settings, cases: Sequence[TopicCase]) -> None:
    """The topics of the cases, by somebody else and otherwise as `migrate` makes them; then the rest."""
    with open_admin(settings.kafka) as admin:
        topics = {
            settings.topics.names[case.action]: {
                "num_partitions": case.partitions,
                "replication_factor": 1,
                "configs": {"message.timestamp.type": "LogAppendTime"} | case.configs,
            }
            for case in cases
        }
        admin.create_topics(topics)
        admin.wait_for_topics(list(topics))
    create_topics(*settings.sources)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: str(case.configs))
def test_a_topic_that_is_no_faithful_record_is_refused_and_named(clean: Settings, case: TopicCase) -> None:
    make(clean, [case])
    topics = describe_topics(clean.kafka, clean.topics)
    topic = topics[clean.topics.names[case.action]]
    with pytest.raises(Refusal, match=case.said):
        refuse_topic(topic, clean.rules.in_topic(topic.name))
    assert any(case.said in line for line in topic_differences(clean.topics, clean.rules, topics))


def test_topics_with_other_settings_are_counted_exactly_and_nothing_is_said(clean: Settings, tmp_path: Path) -> None:
    make(clean, COUNTED)
    migrate(clean.clickhouse)
    assert topic_differences(clean.topics, clean.rules, describe_topics(clean.kafka, clean.topics)) == []
    with Traffic(clean, "--events", "1000") as traffic:
        sent = traffic.finish()
    with workers(clean, tmp_path) as start:
        start()
        wait_caught_up(clean)
    verify(clean)
    assert int(all_cells(ClickHouseSink(clean.clickhouse)).events.sum()) == sent["counted"]


@pytest.mark.parametrize("case", NAMED, ids=lambda case: str(case.configs))
def test_a_topic_that_is_not_as_the_settings_ask_is_counted_and_named(
    clean: Settings, case: TopicCase, tmp_path: Path
) -> None:
    make(clean, [case])
    migrate(clean.clickhouse)
    assert any(
        case.said in line
        for line in topic_differences(clean.topics, clean.rules, describe_topics(clean.kafka, clean.topics))
    )
    produce_with_kafka_python(clean, None, idempotent=False)
    with workers(clean, tmp_path) as start:
        start()
        wait_caught_up(clean)
    verify(clean)
    assert int(all_cells(ClickHouseSink(clean.clickhouse)).events.sum()) == RECORDS
