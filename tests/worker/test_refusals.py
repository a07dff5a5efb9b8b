"""What stands in the way of exact counting, on the real engines: refused in words by exit code 2, never passed over."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from pydantic import SecretStr

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError, Refusal, SinkError, SinkUnavailable
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, StartRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.counting.slices import Base
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import create_topics, describe_topics
from pintally.streams.settings import Settings
from pintally.streams.worker.assignment import Assigned, look_up
from tests.e2e.running import pintally, wait_for


class Stand:
    """One source of a stack, and what a worker would find of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topic = settings.topics.names[Action.SAVE]
        self.sink = ClickHouseSink(settings.clickhouse)

    @property
    def source(self) -> Source:
        """As Kafka knows it now."""
        return Source(self.topic, describe_topics(self.settings.kafka, self.settings.topics)[self.topic].topic_id, 0)

    def look_up(self, **changes: Any) -> Assigned:
        """What an assignment of partition 0 finds, under these settings."""
        [assigned] = look_up(*self.settings.changed(**changes).sources, self.sink, [(self.topic, 0)])
        return assigned

    def produce(self, records: int) -> None:
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap_servers)
        for _ in range(records):
            producer.send(self.topic, b"{}", partition=0)
        producer.close()

    def record(self, position: int) -> None:
        """A ledger row: everything below `position` is counted."""
        outcomes, rules = Outcomes(invalid=position), self.settings.rules.to_rules().fingerprint
        with self.sink.session() as session:
            session.write_ledger([LedgerRow(self.source, 0, 600, 0, 0, position, 600_000, outcomes, 0, 0, rules)])

    def create_again(self) -> None:
        """Delete the topic and make it anew under its name."""
        with open_admin(self.settings.kafka) as admin:
            admin.delete_topics([self.topic])
            wait_for(lambda: self.topic not in admin.list_topics(), 30, "the topic is deleted")
        create_topics(*self.settings.sources)

    def configure(self, **configs: str) -> None:
        """Set configs of the topic; underscores stand for dots."""
        dotted = {name.replace("_", "."): value for name, value in configs.items()}
        set_topic_configs(self.settings.kafka, {self.topic: dotted})

    def sql(self, statement: str) -> None:
        with Connection(self.settings.clickhouse, 30) as connection:
            connection.execute(statement)


@pytest.fixture
def stand(stack: Settings) -> Stand:
    return Stand(stack)


def test_a_source_without_a_start_row_gets_one_that_is_read_back(stand: Stand) -> None:
    """C12: at the log's start, with the rules of the settings, before its first cell."""
    stand.produce(5)
    with open_admin(stand.settings.kafka) as admin:
        admin.delete_records({TopicPartition(stand.topic, 0): 3})
    assigned = stand.look_up()
    start = StartRow(stand.source, 0, 3, 0, stand.settings.rules.to_rules().to_json())
    assert (assigned.chain.epoch_start, assigned.log_start) == (start, 3)
    assert (assigned.base.collect_start, assigned.base.start) == (3, 3)
    with stand.sink.session() as session:
        assert session.read_ledgers([stand.source])[stand.source].starts == (start,)
    assert list(stand.sink.known_sources()) == [stand.source]


def test_workers_that_look_at_once_agree(stand: Stand) -> None:
    stand.produce(3)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: stand.look_up(), range(4)))
    assert len({(each.chain, each.base) for each in found}) == 1


def test_of_several_start_rows_the_lowest_wins_whoever_wrote_last(stand: Stand) -> None:
    """C12."""
    stand.produce(3)
    assert stand.look_up().chain.start == 0
    with stand.sink.session() as session:
        session.write_starts([StartRow(stand.source, 0, 2, 0, stand.settings.rules.to_rules().to_json())])
    assert stand.look_up().chain.start == 0


def test_a_new_partition_begins_in_the_highest_epoch_of_the_ledger(stand: Stand) -> None:
    """C18."""
    stand.look_up()
    with stand.sink.session() as session:
        session.write_starts([StartRow(stand.source, 4, 0, 0, stand.settings.rules.to_rules().to_json())])
    [other] = look_up(*stand.settings.sources, stand.sink, [(stand.topic, 1)])
    assert other.chain.epoch_start.epoch == 4


@pytest.mark.parametrize("records", [2, 9], ids=["shorter_than_the_position", "longer_than_the_position"])
def test_a_topic_deleted_and_created_again_is_refused(stand: Stand, records: int) -> None:
    """Its offsets name other records than those that are counted, however many there are."""
    stand.produce(5)
    stand.look_up()
    stand.record(5)
    first = stand.source
    stand.create_again()
    stand.produce(records)
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            stand.look_up()
        assert str(first.topic_id) in refused.value.what
        assert str(stand.source.topic_id) in refused.value.what
    assert list(stand.sink.known_sources()) == [first], "no start row may make the next look-up go well"


def test_a_log_that_retention_cut_above_the_place_to_read_from_is_refused(stand: Stand) -> None:
    """Above the position. Below it, and above the place where collecting starts, the log may have all that matters."""
    stand.produce(9)
    stand.look_up()
    stand.record(6)
    assert stand.look_up().base.collect_start == 0
    with open_admin(stand.settings.kafka) as admin:
        admin.delete_records({TopicPartition(stand.topic, 0): 4})
        assert stand.look_up().base == Base(
            6, 600_000, 6, 600_000, is_cut=True, open_slice=stand.look_up().chain.unfinished
        )
        admin.delete_records({TopicPartition(stand.topic, 0): 7})
    with pytest.raises(Refusal, match="must be read from offset 0, its log starts at 7"):
        stand.look_up()


def test_a_log_that_ends_before_the_position_is_refused(stand: Stand) -> None:
    stand.produce(3)
    stand.look_up()
    stand.record(7)
    with pytest.raises(Refusal, match="ends at offset 3, the ledger has counted to 7"):
        stand.look_up()


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_topic_is_refused(stand: Stand, policy: str) -> None:
    stand.configure(cleanup_policy=policy)
    with pytest.raises(Refusal, match=r"cleanup\.policy"):
        stand.look_up()


def test_producers_timestamps_are_refused_unless_the_broker_bounds_them_by_the_skew(stand: Stand) -> None:
    skew = stand.settings.rules.to_rules().max_clock_skew_ms
    stand.configure(message_timestamp_type="CreateTime", message_timestamp_after_max_ms=str(skew + 1))
    with pytest.raises(Refusal, match=f"up to {skew + 1} ms ahead"):
        stand.look_up()
    stand.configure(message_timestamp_after_max_ms=str(skew))
    assert stand.look_up().source == stand.source


def test_one_bad_topic_refuses_the_sources_of_all(stand: Stand) -> None:
    """Windows are counted over all topics: a part of them would be a smaller total in silence."""
    stand.configure(cleanup_policy="compact")
    with pytest.raises(Refusal):
        look_up(
            *stand.settings.sources,
            stand.sink,
            [(stand.settings.topics.names[Action.CLICK], 0)],
        )


@pytest.mark.parametrize("change", [{"allowed_lateness_seconds": 60}, {"slice_records": 1_000}, {"dedup": False}])
def test_rules_other_than_the_ledgers_are_refused_and_stay_as_they_were(stand: Stand, change: dict[str, Any]) -> None:
    """C16."""
    stand.look_up()
    with pytest.raises(Refusal, match=stand.settings.rules.to_rules().fingerprint):
        stand.look_up(**change)
    assert stand.look_up().chain.rules == stand.settings.rules.to_rules()


def test_an_empty_ledger_beside_a_committed_offset_is_refused(stand: Stand) -> None:
    """C12: the ledger was lost, and counting anew from the log's start is not what anyone asked for."""
    stand.produce(5)
    at = TopicPartition(stand.topic, 0)
    consumer = KafkaConsumer(
        bootstrap_servers=stand.settings.kafka.bootstrap_servers,
        group_id=stand.settings.kafka.group_id,
        enable_auto_commit=False,
    )
    consumer.assign([at])
    consumer.commit({at: OffsetAndMetadata(4, "", -1)})
    consumer.close()
    with pytest.raises(Refusal, match="committed offset 4"):
        stand.look_up()
    assert stand.look_up(kafka_group_id=f"{stand.settings.kafka.group_id}-new").chain.start == 0


def test_a_missing_table_is_refused_and_not_waited_for(stand: Stand) -> None:
    stand.sql("DROP TABLE ingest_ledger SYNC")
    with pytest.raises(SinkError, match="pintally migrate") as refused:
        stand.look_up()
    assert not isinstance(refused.value, SinkUnavailable)


def test_a_missing_topic_is_refused(stand: Stand) -> None:
    with open_admin(stand.settings.kafka) as admin:
        admin.delete_topics([stand.topic])
        wait_for(lambda: stand.topic not in admin.list_topics(), 30, "the topic is deleted")
    with pytest.raises(PintallyError, match="pintally migrate"):
        stand.look_up()


def refused_worker(settings: Settings) -> str:
    """What a worker says that ends with exit code 2."""
    done = pintally(settings, "worker", timeout=60)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_worker_ends_on_a_topic_created_again(stand: Stand) -> None:
    stand.produce(5)
    stand.look_up()
    stand.create_again()
    assert "deleted and created again" in refused_worker(stand.settings)


def test_a_worker_ends_on_other_rules(stand: Stand) -> None:
    stand.look_up()
    said = refused_worker(stand.settings.changed(allowed_lateness_seconds=60))
    assert "Set the PINTALLY_* settings back" in said


def test_a_worker_ends_on_a_wrong_password_which_it_does_not_show(stand: Stand) -> None:
    wrong = stand.settings.changed(clickhouse_password=SecretStr("not-the-password"))
    said = refused_worker(wrong)
    assert "refused the login" in said
    assert "not-the-password" not in said


def test_a_worker_ends_on_a_missing_table(stand: Stand) -> None:
    stand.sql("DROP TABLE ingest_starts SYNC")
    assert "pintally migrate" in refused_worker(stand.settings)
