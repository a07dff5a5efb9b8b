"""Topics on a real Kafka: made once, described as they are, and refused in words."""

import asyncio
import gc
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    BrokerNotAvailableError,
    KafkaError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    UnknownBrokerIdError,
)

from pintally.schemas.actions import dead_letter_topic, replay_topic
from pintally.schemas.errors import KafkaRefused, KafkaUnavailable
from pintally.streams.counting.log import Offsets
from pintally.streams.kafka import reach, topics
from pintally.streams.kafka.admin import LEADER_CHANGES, open_admin
from pintally.streams.kafka.topic_configs import topic_differences
from pintally.streams.kafka.topics import (
    TopicMissing,
    TopicRefused,
    committed_offsets,
    create_topics,
    describe_topics,
    group_members,
    read_offsets,
    sources_of,
)
from pintally.streams.settings import KafkaSettings, Settings, TopicSettings
from tests.e2e.running import TRANSACTION_MS


@pytest.fixture
def made(settings: Settings) -> Iterator[Settings]:
    """Settings whose topics exist, and are dropped afterwards."""
    create_topics(*settings.sources)
    yield settings
    drop(settings)


def drop(settings: Settings) -> None:
    with open_admin(settings.kafka) as admin:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(settings.topics.topic_prefix)])


def with_(settings: Settings, **changes: object) -> Settings:
    return settings.changed(**changes)


@pytest.mark.parametrize("error", LEADER_CHANGES)
def test_a_leader_that_was_just_elected_is_asked_again_for_the_ends_of_its_log(
    made: Settings, error: type[KafkaError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three brokers were seen to answer so: the client raises it, and Kafka is not away."""
    real, asked = KafkaAdminClient.list_partition_offsets, []

    def electing(admin: KafkaAdminClient, *args: Any, **kwargs: Any) -> Any:
        asked.append(error)
        if len(asked) % 2:
            raise error
        return real(admin, *args, **kwargs)

    monkeypatch.setattr(KafkaAdminClient, "list_partition_offsets", electing)
    sources = sources_of(describe_topics(made.kafka, made.topics))
    assert set(read_offsets(made.kafka, sources).values()) == {Offsets(0, 0, 0)}
    assert len(asked) == 6


def test_many_at_once_make_each_topic_once(settings: Settings) -> None:
    try:
        with ThreadPoolExecutor(4) as pool:
            created = [
                name for names in pool.map(lambda _: create_topics(*settings.sources), range(4)) for name in names
            ]
        names = list(settings.topics.names.values())
        assert sorted(created) == sorted([*names, *map(dead_letter_topic, names), *map(replay_topic, names)])
        assert create_topics(*settings.sources) == []
    finally:
        drop(settings)


def test_topics_are_described_as_they_were_asked_for(made: Settings) -> None:
    found = describe_topics(made.kafka, made.topics)
    assert set(found) == {*made.topics.names.values(), *made.topics.replay_names.values()}
    assert {found[name].partitions for name in made.topics.names.values()} == {made.topics.partitions}
    assert {found[name].partitions for name in made.topics.replay_names.values()} == {1}
    assert {topic.timestamp_type for topic in found.values()} == {"LogAppendTime"}
    assert {topic.cleanup_policy for topic in found.values()} == {"delete"}
    assert len({topic.topic_id for topic in found.values()}) == 6
    assert topic_differences(made.topics, made.rules, found) == []


def test_create_time_topics_refuse_timestamps_beyond_the_skew(settings: Settings) -> None:
    by_producer = with_(settings, topic_timestamps="CreateTime", max_clock_skew_seconds=77)
    create_topics(*by_producer.sources)
    try:
        found = describe_topics(by_producer.kafka, by_producer.topics)
        assert {found[name].timestamp_after_max_ms for name in by_producer.topics.names.values()} == {77_000}
        assert {found[name].timestamp_type for name in by_producer.topics.replay_names.values()} == {"LogAppendTime"}
        assert topic_differences(by_producer.topics, by_producer.rules, found) == []
        other = with_(by_producer, max_clock_skew_seconds=10)
        assert len(topic_differences(other.topics, other.rules, found)) == 3
    finally:
        drop(by_producer)


def test_a_topic_made_again_has_another_id(made: Settings) -> None:
    before = {topic.topic_id for topic in describe_topics(made.kafka, made.topics).values()}
    drop(made)
    with open_admin(made.kafka) as admin:
        while any(name.startswith(made.topics.topic_prefix) for name in admin.list_topics()):
            pass
    create_topics(*made.sources)
    assert not before & {topic.topic_id for topic in describe_topics(made.kafka, made.topics).values()}


def test_topics_that_differ_are_named_and_left_as_they_are(made: Settings) -> None:
    other = with_(made, topic_timestamps="CreateTime", partitions=5)
    assert create_topics(*other.sources) == []
    found = describe_topics(other.kafka, other.topics)
    assert {found[name].partitions for name in made.topics.names.values()} == {made.topics.partitions}
    differences = topic_differences(other.topics, other.rules, found)
    assert len(differences) == 6
    assert all(any(name in difference for name in made.topics.names.values()) for difference in differences)
    assert any("message.timestamp.type=LogAppendTime" in difference for difference in differences)


def test_a_compacted_source_is_named(made: Settings) -> None:
    name = next(iter(made.topics.names.values()))
    with open_admin(made.kafka) as admin:
        admin.delete_topics([name])
        while name in admin.list_topics():
            pass
        compacted = {"num_partitions": 2, "replication_factor": 1, "configs": {"cleanup.policy": "compact"}}
        admin.create_topics({name: compacted})
        admin.wait_for_topics([name])
    assert any(
        f"{name} has cleanup.policy=compact" in each
        for each in topic_differences(made.topics, made.rules, describe_topics(made.kafka, made.topics))
    )


def test_a_missing_topic_is_named_with_the_remedy(settings: Settings) -> None:
    with pytest.raises(TopicMissing, match=settings.topics.topic_prefix) as missing:
        describe_topics(settings.kafka, settings.topics)
    assert "pintally migrate" in missing.value.remedy
    with open_admin(settings.kafka) as admin:
        assert not [name for name in admin.list_topics() if name.startswith(settings.topics.topic_prefix)]


def test_more_replicas_than_brokers_are_refused_in_words(settings: Settings) -> None:
    with pytest.raises(TopicRefused, match="engagement") as refused:
        create_topics(*with_(settings, replication=3).sources)
    assert "PINTALLY_REPLICATION" in refused.value.remedy


@pytest.mark.parametrize(("replication", "in_sync"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_with_three_replicas_what_is_acknowledged_outlives_any_one_broker(
    settings: Settings, replication: int, in_sync: str | None
) -> None:
    """With two replicas, two in sync would let the loss of any broker stop all producers."""
    made = topics._wanted(with_(settings, replication=replication).topics, settings.rules)
    assert len(made) == 9
    assert {topic["configs"].get("min.insync.replicas") for topic in made.values()} == {in_sync}


def test_offsets_and_commits_are_read_as_they_stand(made: Settings) -> None:
    sources = sources_of(describe_topics(made.kafka, made.topics))
    assert [source.partition for source in sources] == [0, 1, 0] * 3
    assert set(read_offsets(made.kafka, sources).values()) == {Offsets(0, 0, 0)}
    assert committed_offsets(made.kafka) == {}
    asyncio.run(write_and_commit(made, sources[0].topic))
    offsets = read_offsets(made.kafka, sources)
    assert offsets[sources[0]] == Offsets(log_start=0, log_end=6, last_stable=3)
    assert offsets[sources[1]] == Offsets(0, 0, 0)
    assert committed_offsets(made.kafka) == {(sources[0].topic, 0): 2}
    assert group_members(made.kafka) == []
    assert read_offsets(made.kafka, []) == {}


async def write_and_commit(settings: Settings, topic: str) -> None:
    """Three records, then three in a transaction that stays open; and a commit of offset 2."""
    plain = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, acks="all")
    async with plain:
        for _ in range(3):
            await plain.send_and_wait(topic, b"x", key=b"1", partition=0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers, group_id=settings.kafka.group_id, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.commit({TopicPartition(topic, 0): 2})
    await consumer.stop()
    unfinished = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        transactional_id=settings.kafka.group_id,
        transaction_timeout_ms=TRANSACTION_MS,
    )
    await unfinished.start()
    await unfinished.begin_transaction()
    for _ in range(3):
        await unfinished.send_and_wait(topic, b"x", key=b"1", partition=0)
    await unfinished.stop()


def test_a_wrong_address_is_told_at_once_in_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    kafka = "nohost.invalid:9092"
    with pytest.raises(KafkaUnavailable, match="Kafka does not answer at") as error:
        describe_topics(KafkaSettings(bootstrap_servers=kafka), TopicSettings())
    assert kafka in error.value.what
    assert "PINTALLY_KAFKA_BOOTSTRAP_SERVERS" in error.value.remedy
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("first", ["hangs", "refuses"])
def test_one_of_several_brokers_that_hangs_or_is_gone_is_passed_over(
    settings: Settings, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for once, and no client is told to begin with it."""
    asked: list[str] = []
    ask = reach._ask

    def asking(server: str, *rest: Any) -> None:
        asked.append(server)
        with monkeypatch.context() as patch:
            if server == gone:  # the other one may be slow
                patch.setattr(reach, "ANSWER_SECONDS", 1.0)
            ask(server, *rest)

    monkeypatch.setattr(reach, "_ask", asking)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        gone = f"127.0.0.1:{mute.getsockname()[1]}"
        if first == "refuses":
            mute.close()
        there = settings.kafka.bootstrap_servers
        both = KafkaSettings(bootstrap_servers=f"{gone},{there}")
        for _ in range(2):
            with open_admin(both) as admin:
                assert admin.config["bootstrap_servers"] == [there]
    gc.collect()  # a socket that is left open is an error here
    assert asked == [gone, there, there]


def test_a_closed_port_and_a_port_that_never_answers_are_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pintally.streams.kafka.reach.CONNECT_SECONDS", 0.3)
    monkeypatch.setattr("pintally.streams.kafka.reach.ANSWER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(KafkaUnavailable, match=address):
            describe_topics(KafkaSettings(bootstrap_servers=address), TopicSettings())
    with pytest.raises(KafkaUnavailable, match=address):
        describe_topics(KafkaSettings(bootstrap_servers=address), TopicSettings())
    assert capfd.readouterr() == ("", "")


def test_what_kafka_refuses_is_no_traceback(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "dead_letter_topic", lambda name: f"{name} with spaces")
    try:
        with pytest.raises((TopicRefused, KafkaRefused), match="spaces"):
            create_topics(*settings.sources)
    finally:
        drop(settings)


@pytest.mark.parametrize("error", [UnknownBrokerIdError(-1), BrokerNotAvailableError(), NotLeaderForPartitionError()])
def test_a_broker_that_is_stopping_is_away_and_refuses_nothing(settings: Settings, error: KafkaError) -> None:
    """On its way down it still answers, that nobody leads a partition: the client then looks for broker -1."""
    with pytest.raises(KafkaUnavailable, match=type(error).__name__), open_admin(settings.kafka):
        raise error


def test_a_topic_without_a_leader_is_not_missing(made: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    described = KafkaAdminClient.describe_topics

    def stopping(admin: KafkaAdminClient, names: list[str]) -> list[dict[str, Any]]:
        return [topic | {"error_code": LeaderNotAvailableError.errno} for topic in described(admin, names)]

    monkeypatch.setattr(KafkaAdminClient, "describe_topics", stopping)
    with pytest.raises(KafkaUnavailable, match="LeaderNotAvailable"):
        describe_topics(made.kafka, made.topics)
