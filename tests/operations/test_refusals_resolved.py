"""Each refusal on the real engines: its words name a command, the command resolves it, and all is exact again."""

import asyncio
import json
import re
from contextlib import aclosing
from typing import Any

import pytest
from click.testing import CliRunner
from kafka import TopicPartition

from pintally.audit.verify import Report
from pintally.audit.verify import verify as audit
from pintally.cli import load
from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError, Refusal
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.pending import Capture
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.fetching.reader import read_chunks
from pintally.streams.kafka.topic_configs import set_topic_configs, topic_differences
from pintally.streams.kafka.topics import create_topics, describe_topics, read_offsets
from pintally.streams.settings import Settings
from pintally.streams.worker.assignment import look_up
from pintally.streams.worker.flush import write
from tests.audit.test_verify import RECORDS, Flusher, exact, kinds
from tests.e2e.running import wait_for

TABLES = ("pin_minutes", "ingest_ledger", "ingest_starts", "dead_letters")


class Field:
    """A topic of one partition, counted by the parts of a worker, one after the other, without its group."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings.changed(slice_records=100, topic_timestamps="CreateTime")
        self.sink = ClickHouseSink(settings.clickhouse)
        self.topic = settings.topics.names[Action.SAVE]
        self.monkeypatch = monkeypatch
        self.seed = 0

    @property
    def source(self) -> Source:
        """As Kafka knows it now."""
        return Source(self.topic, describe_topics(self.settings.kafka, self.settings.topics)[self.topic].topic_id, 0)

    def produce(self, records: int = 330, ago_ms: int = RECORDS * 3_500) -> None:
        """Records with duplicates, late and broken ones among them, over some 17 minutes from then on."""
        self.seed += 1
        Flusher(self.settings).produce(records, self.seed, ago_ms)

    def abort(self) -> None:
        """Offsets without a record."""
        Flusher(self.settings).abort()

    def count(self, cut_off_at: int | None = None) -> None:
        """Recover, fold all there is, and flush it; of a flush that is cut off, at this offset, only the cells."""
        fold, capture = self.fold(cut_off_at)
        if capture is None:
            return
        if cut_off_at is None:
            write(self.sink, [fold], [capture])
        else:
            with self.sink.session() as session:
                session.write_cells(*capture.cells)

    def fold(self, to: int | None = None) -> tuple[SourceFold, Capture | None]:
        """Recover, and fold up to an offset, or all there is: what a worker holds when a flush begins."""
        [assigned] = look_up(*self.settings.sources, self.sink, [(self.topic, 0)])
        chain, base = assigned.chain, assigned.base
        fold = SourceFold(assigned.source, Action.SAVE, chain.rules, chain.epoch_start.epoch, base, chain.version)
        end = read_offsets(self.settings.kafka, [assigned.source])[assigned.source].last_stable if to is None else to
        asyncio.run(self._fold(fold, end))
        return fold, fold.capture()

    async def _fold(self, fold: SourceFold, end: int) -> None:
        async with aclosing(read_chunks(self.settings.kafka, fold.source, fold.position, end)) as chunks:
            async for chunk in chunks:
                fold.fold(chunk)

    def wake(self, capture: Capture | None) -> None:
        """The inserts of a worker that had slept since it read its ledger rows back."""
        assert capture
        with self.sink.session() as session:
            session.write_cells(*capture.cells)
            session.write_dead_letters(capture.dead_letters)
            session.write_ledger(capture.ledger)

    def refused(self, *words: str) -> str:
        """What a worker says that will not count."""
        with pytest.raises((Refusal, PintallyError)) as refused:
            self.count()
        for word in words:
            assert word in str(refused.value)
        return str(refused.value)

    def run(self, command: str, *arguments: str, code: int = 0) -> str:
        """Run `pintally <command>` in this process."""
        self.monkeypatch.setattr(f"pintally.cli.{command.replace('-', '_')}.load_settings", lambda **_: self.settings)
        done = CliRunner().invoke(load(command), list(arguments), catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.output

    def verify(self) -> Report:
        """Exact, or the test fails."""
        report = audit(addresses_of(self.settings), processes=1)
        exact(report)
        return report

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with Connection(self.settings.clickhouse, 60) as connection:
            return list(connection.execute(statement, settings={"mutations_sync": 2}) or [])

    def trim(self, start: int) -> None:
        """Retention removes what lies before an offset."""
        with open_admin(self.settings.kafka) as admin:
            admin.delete_records({TopicPartition(self.topic, 0): start})

    def configure(self, config: str) -> None:
        """What kafka-configs.sh --alter --add-config does."""
        name, _, value = config.partition("=")
        set_topic_configs(self.settings.kafka, {self.topic: {name: value}})

    @property
    def total(self) -> int:
        return int(self.sql("SELECT sum(events) FROM pin_minutes FINAL")[0][0])


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The tests choose the timestamps."""
    return settings.changed(topic_timestamps="CreateTime")


@pytest.fixture
def field(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Field:
    monkeypatch.setattr("pintally.audit.verify.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("pintally.audit.looks.PAUSE_SECONDS", 0.05)
    return Field(stack, monkeypatch)


@pytest.mark.parametrize("start", [660, 333, 250], ids=["beyond_the_position", "just_beyond_it", "below_it"])
def test_retention_overtook_the_counting(field: Field, start: int) -> None:
    """What is gone is given up and named for ever; all else is exact, before and after."""
    field.produce()
    field.count()
    before = field.total
    field.produce()
    field.produce()
    field.trim(start)
    field.refused("retention overtook", "pintally accept-loss")
    assert "deleted from the log before" in field.run("accept-loss", "--yes", "--note", "the disk was full")
    assert "no new losses" in field.run("accept-loss", "--yes")
    field.count()
    report = field.verify()
    assert any("the disk was full" in line for line in report.lost)
    assert report.sources[0].lag == 0
    for command in (["status"], ["rules", "show"]):
        assert "the disk was full" in field.run(*command)
    assert field.total > before
    field.produce()
    field.count()
    field.verify()


def test_a_flush_that_was_cut_off_before_retention_overtook_it_is_not_counted_twice(field: Field) -> None:
    """Its rows are ahead of the ledger, and stay; counting goes on above them."""
    field.produce()
    field.count()
    field.produce()
    recorded = field.total
    field.count(cut_off_at=470)
    ahead = field.total
    assert ahead > recorded
    field.trim(340)
    field.run("accept-loss", "--yes")
    assert field.total == ahead
    field.count()
    report = field.verify()
    assert any("330 to 470" in line for line in report.lost)
    assert sum(report.sources[0].outcomes.values()) == 660 - 470, "what the log still holds, from there on"


def test_a_worker_that_slept_through_lost_adds_nothing_to_the_slice_that_was_cut_short(field: Field) -> None:
    """It had read beyond the cut; what it says of that is counted again, under an epoch above its own."""
    field.produce()
    field.count()
    field.produce()
    _, asleep = field.fold(390)  # slices have 100 records: [330, 390) is of one with offsets before
    field.trim(335)
    field.run("accept-loss", "--yes")
    before = field.total
    field.wake(asleep)
    field.count()
    with field.sink.session() as session:
        session.delete_superseded()  # as the next sealing does
    field.verify()
    assert field.total > before
    offsets = field.sql("SELECT sum(position - start), sum(counted) FROM ingest_ledger FINAL")[0]
    assert offsets == (660 - 5, field.total)


@pytest.mark.parametrize("aborted", [False, True], ids=["records_next", "an_aborted_transaction_next"])
def test_a_source_that_was_idle_until_all_of_it_went_with_age_goes_on(field: Field, aborted: bool) -> None:
    """Restarted before and after new records come, it writes what a worker would that was never restarted."""
    field.produce()
    field.count()
    before = field.total
    field.trim(330)
    field.count()
    if aborted:
        field.abort()
        field.count()
    field.count()
    assert field.total == before
    field.produce(ago_ms=20 * 60_000)
    field.count()
    total = field.total
    assert total > before
    found = audit(addresses_of(field.settings), processes=1)
    assert (kinds(found), found.exit_code) == (set(), 2)
    assert 0 < sum(found.sources[0].outcomes.values()) <= 330, "what can be recounted without the ids that are gone"
    starts = field.sql("SELECT start, position, epoch FROM ingest_ledger FINAL ORDER BY start")
    assert {epoch for _, _, epoch in starts} == {0}
    assert [after[0] for after in starts[1:]] == [row[1] for row in starts[:-1]], "slices join"
    field.count()
    assert field.total == total


def test_a_record_that_comes_too_soon_after_what_is_gone_is_refused(field: Field) -> None:
    """Its id may be among those that are gone."""
    field.produce()
    field.count()
    before = field.total
    field.trim(330)
    field.count()
    field.produce(ago_ms=42 * 60_000)
    field.refused("retention overtook", "pintally accept-loss")
    assert field.total == before
    field.run("accept-loss", "--yes")
    field.count()
    field.verify()
    assert field.total > before


@pytest.mark.parametrize("records", [50, 660], ids=["shorter_than_the_position", "longer_than_the_position"])
def test_a_topic_was_deleted_and_created_again(field: Field, records: int) -> None:
    field.produce()
    field.count()
    before = field.total
    with open_admin(field.settings.kafka) as admin:
        admin.delete_topics([field.topic])
        wait_for(lambda: field.topic not in admin.list_topics(), 30, "the topic deleted")
    create_topics(*field.settings.sources)
    field.produce(records)
    field.refused("deleted and created again", "pintally accept-loss")
    assert "its topic was deleted" in field.run("accept-loss", "--yes")
    field.count()
    report = audit(addresses_of(field.settings), processes=1)
    assert (kinds(report), report.exit_code) == (set(), 2)
    assert any("events of the offsets 0 to 330 cannot be recounted" in line for line in report.unverifiable)
    assert any("topic was deleted" in line for line in report.lost)
    assert field.total > before
    assert "no new losses" in field.run("accept-loss", "--yes")


def test_the_log_lost_its_end(field: Field) -> None:
    """The ledger has counted what the log does not have any more; those counts are taken back, all others stay."""
    field.produce()
    field.count()
    last = "(SELECT max(start) FROM ingest_ledger)"
    field.sql(
        f"INSERT INTO pin_minutes SELECT * REPLACE (events + 300 AS events, version + 300 AS version) FROM pin_minutes"
        " FINAL WHERE (slice_block, arrived_at) IN"
        f" (SELECT slice_block, arrived_at FROM ingest_ledger WHERE start = {last}) LIMIT 1"
    )
    field.sql(
        "INSERT INTO ingest_ledger SELECT * REPLACE (position + 300 AS position, counted + 300 AS counted, cells_sum +"
        f" 300 AS cells_sum, version + 300 AS version) FROM ingest_ledger FINAL WHERE start = {last}"
    )
    field.refused("ends at offset 330", "pintally accept-loss")
    assert "330 to 630: counted, then lost by the log" in field.run("accept-loss", "--yes")
    field.count()
    report = field.verify()
    assert len(report.lost) == 1
    assert report.sources[0].position == 330
    field.produce()
    field.count()
    field.verify()


@pytest.mark.parametrize("start", [0, 120])
def test_the_ledger_was_lost(field: Field, start: int) -> None:
    field.produce()
    field.count()
    before = field.total
    field.settings = field.settings.changed(kafka_group_id=f"{field.settings.kafka.group_id}-x")
    commit(field, 330)
    field.sql("TRUNCATE TABLE ingest_ledger")
    field.sql("TRUNCATE TABLE ingest_starts")
    if start:
        field.trim(start)
    field.refused("the ledger was lost", "pintally accept-loss")
    assert "counted again" in field.run("accept-loss", "--yes")
    field.count()
    report = field.verify()
    assert (field.total == before, len(report.lost)) == (start == 0, start > 0)


def commit(field: Field, offset: int) -> None:
    """What a worker commits for lag tools."""
    from kafka import KafkaConsumer
    from kafka.structs import OffsetAndMetadata

    at = TopicPartition(field.topic, 0)
    consumer = KafkaConsumer(
        bootstrap_servers=field.settings.kafka.bootstrap_servers,
        group_id=field.settings.kafka.group_id,
        enable_auto_commit=False,
    )
    consumer.assign([at])
    consumer.commit({at: OffsetAndMetadata(offset, "", -1)})
    consumer.close()


@pytest.mark.parametrize(
    "change",
    [{"allowed_lateness_seconds": 10_000}, {"slice_records": 70}, {"dedup": False}, {"retention_days": 30}],
)
def test_the_rules_were_changed(field: Field, change: dict[str, Any]) -> None:
    field.produce()
    field.count()
    field.settings = field.settings.changed(**change)
    field.refused("pintally rules apply", "pintally rules show")
    assert "the settings have other rules" in field.run("rules", "show")
    field.run("rules", "apply", "--yes")
    assert "already have these rules" in field.run("rules", "apply")
    field.produce()
    field.count()
    field.verify()
    assert json.loads(field.run("rules", "show", "--json"))["differs"] is False


@pytest.mark.parametrize("config", ["cleanup.policy=compact", "message.timestamp.after.max.ms=9000000"])
def test_a_topic_that_cannot_be_counted_exactly_is_altered_by_the_command_of_its_refusal(
    field: Field, config: str
) -> None:
    """`migrate` says the same of it."""
    field.produce()
    field.count()
    field.configure(config)
    said = field.refused("kafka-configs.sh")
    differences = topic_differences(
        field.settings.topics,
        field.settings.rules,
        describe_topics(field.settings.kafka, field.settings.topics),
    )
    assert any(all(part in each for part in said.split("\n  ")) for each in differences)
    field.configure(re.findall(r"--add-config ([^` ]+)", said)[0])
    field.count()
    field.verify()


def test_clickhouse_was_restored_from_an_older_copy(field: Field) -> None:
    """Whoever counts on begins where the copy ends, and nothing need be given up."""
    field.produce()
    field.count()
    for table in TABLES:
        field.sql(f"CREATE TABLE old_{table} AS {table}")
        field.sql(f"INSERT INTO old_{table} SELECT * FROM {table}")
    field.produce()
    field.count()
    exact_total = field.total
    for table in TABLES:
        field.sql(f"EXCHANGE TABLES {table} AND old_{table}")
    assert field.total < exact_total
    assert "no new losses" in field.run("accept-loss", "--yes")
    field.count()
    field.verify()
    assert field.total == exact_total


def test_damage_that_the_log_cannot_mend_any_more_is_named_by_repair_and_given_up(field: Field) -> None:
    for _ in range(3):
        field.produce()
    field.count()
    field.sql("DELETE FROM pin_minutes WHERE slice_block = 1")
    field.trim(500)
    said = field.run("repair", code=2)
    assert "cannot be recomputed" in said
    assert "pintally accept-loss" in said
    field.run("accept-loss", "--yes", "--note", "an operator's mistake")
    report = audit(addresses_of(field.settings), processes=1)
    assert not report.findings
    assert any("an operator's mistake" in line for line in report.lost)
    field.run("repair")


def test_nothing_is_given_up_without_being_asked(field: Field) -> None:
    field.produce()
    field.count()
    field.produce()
    field.trim(470)
    with pytest.raises(PintallyError, match="confirmed"):
        field.run("accept-loss")
    field.refused("pintally accept-loss")
