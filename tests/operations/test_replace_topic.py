"""`replace-topic` on the real engines: topics deleted and copied, in many ways, and no count that doubles."""

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from pintally.audit.verify import verify as audit
from pintally.schemas.actions import Action
from pintally.schemas.errors import Refusal
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from pintally.streams.worker.assignment import look_up
from tests.compatibility.broker import broker
from tests.compatibility.versions import lowest_supported
from tests.e2e.running import wait_for
from tests.operations.test_refusals_resolved import Field

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Record:
    key: bytes | None
    value: bytes | None
    timestamp: int


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Timestamps travel with the records, as mirrors keep them."""
    return settings.changed(topic_timestamps="CreateTime")


@pytest.fixture
def field(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Field:
    monkeypatch.setattr("pintally.audit.verify.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("pintally.audit.looks.PAUSE_SECONDS", 0.05)
    return Field(stack, monkeypatch)


def read(field: Field) -> list[Record]:
    at = TopicPartition(field.topic, 0)
    consumer = KafkaConsumer(
        bootstrap_servers=field.settings.kafka.bootstrap_servers,
        auto_offset_reset="none",
        isolation_level="read_committed",
    )
    consumer.assign([at])
    consumer.seek(at, 0)
    end, found = consumer.end_offsets([at])[at], []
    while consumer.position(at) < end:
        found += [Record(r.key, r.value, r.timestamp) for r in consumer.poll(500).get(at, [])]
    consumer.close()
    return found


def write(field: Field, records: Iterable[Record]) -> None:
    producer = KafkaProducer(bootstrap_servers=field.settings.kafka.bootstrap_servers, linger_ms=20)
    for each in records:
        producer.send(field.topic, each.value, key=each.key, partition=0, timestamp_ms=each.timestamp)
    producer.flush()
    producer.close()


def make_again(field: Field, records: Iterable[Record], **changed: Any) -> None:
    """Delete the topic, create it anew under its name, and fill it: what another cluster looks like from here."""
    with open_admin(field.settings.kafka) as admin:
        admin.delete_topics([field.topic])
        wait_for(lambda: field.topic not in admin.list_topics(), 30, "the topic deleted")
    create_topics(*field.settings.changed(**changed).sources)
    write(field, records)


def day(field: Field) -> list[tuple[Any, ...]]:
    """What readers see."""
    return field.sql("SELECT window_start, pin_id, saves FROM pin_engagement_1m ORDER BY window_start, pin_id")


def verdict(field: Field) -> int:
    return audit(addresses_of(field.settings), processes=1).exit_code


def test_topics_copied_under_the_same_names_keep_their_counts(field: Field) -> None:
    """Counted anew from its start, every count would be doubled."""
    field.produce()
    field.count()
    before, total = day(field), field.total
    copy = read(field)
    make_again(field, copy)
    field.refused("pintally replace-topic", "--new-records")
    assert "330" in field.run("replace-topic", "--dry-run")
    field.refused("pintally replace-topic")
    said = field.run("replace-topic", "--yes", "--note", "moved")
    assert "330 records recounted, all counts are the same" in " ".join(said.split())
    field.count()
    assert day(field) == before
    report = field.verify()
    assert sum(report.sources[0].outcomes.values()) == 330
    assert any("moved" in line for line in report.replaced)
    assert "nothing to replace" in field.run("replace-topic", "--yes")
    assert "no new losses" in field.run("accept-loss", "--yes")
    for command in (["status"], ["rules", "show"]):
        assert "moved" in field.run(*command)
    event = json.loads(next(each.value for each in copy[50:] if each.value and len(each.value) > 50))
    assert "no worker has begun" not in field.run("explain", event["event_id"])
    field.run("repair")
    field.produce()
    field.count()
    field.verify()
    assert field.total > total


def test_all_topics_move_at_once_and_their_empty_replay_topics_with_them(field: Field) -> None:
    names = {
        name: 1 if name in field.settings.topics.replay_names.values() else 2 for name in field.settings.topics.actions
    }
    partitions = [(name, at) for name, count in names.items() for at in range(count)]
    look_up(*field.settings.sources, field.sink, partitions)
    field.produce()
    field.count()
    before, copy = day(field), read(field)
    with open_admin(field.settings.kafka) as admin:
        admin.delete_topics(list(names))
        wait_for(lambda: not names.keys() & set(admin.list_topics()), 30, "the topics deleted")
    create_topics(*field.settings.sources)
    write(field, copy)
    field.run("replace-topic", "--yes")
    look_up(*field.settings.sources, field.sink, partitions)
    field.count()
    assert day(field) == before
    field.verify()


def test_another_cluster_takes_the_place_and_the_old_one_is_not_counted_any_more(field: Field, tmp_path: Path) -> None:
    """Two clusters run at once. The group of the new one knows nothing; the ledger says where to go on."""
    field.produce()
    field.count()
    before, copy, old = day(field), read(field), field.settings
    _, asleep = field.fold(330)
    with broker(lowest_supported(), tmp_path / "kafka") as kafka:
        field.settings = old.changed(kafka_bootstrap_servers=kafka)
        create_topics(*field.settings.sources)
        write(field, copy)
        field.refused("pintally replace-topic")
        field.run("replace-topic", "--yes")
        field.produce(ago_ms=30 * 60_000)
        field.count()
        field.wake(asleep)
        with field.sink.session() as session:
            session.delete_superseded()
        field.verify()
        after = day(field)
        assert set(before) <= set(after) != set(before)
        field.settings = old
        field.refused("replaced it", "PINTALLY_KAFKA_BOOTSTRAP_SERVERS")
        with pytest.raises(Refusal, match="replaced it"):
            field.run("rules", "show")
        assert audit(addresses_of(old), processes=1).exit_code == 2
        assert day(field) == after


def test_a_mirror_under_another_prefix_is_refused_until_it_takes_the_place(field: Field) -> None:
    """As MirrorMaker names topics. A worker with the new prefix began at the start, and doubled every count."""
    field.produce()
    field.count()
    before, copy, total = day(field), read(field), field.total
    prefix = f"{field.settings.topics.topic_prefix}mirror."
    field.settings = field.settings.changed(topic_prefix=prefix)
    field.topic = field.settings.topics.names[Action.SAVE]
    create_topics(*field.settings.sources)
    write(field, copy)
    field.refused("pintally replace-topic")
    with pytest.raises(Refusal, match="another name"):
        field.run("replace-topic", "--yes")
    field.run("replace-topic", "--copied", "--yes")
    field.count()
    assert day(field) == before
    exact_since_the_move(field)
    field.produce()
    field.count()
    assert field.total > total


def test_records_are_new_from_a_moment_on(field: Field) -> None:
    """The copy lacks its beginning, so that nothing could be compared; then producers went on in the new topic."""
    field.produce()
    field.count()
    before, copy = day(field), read(field)
    make_again(field, copy[100:])
    last = max(each.timestamp for each in copy) + 1
    moment = datetime.fromtimestamp(last / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    field.run("replace-topic", "--yes", "--from-time", moment)
    field.count()
    assert day(field) == before
    write(field, [replace(each, timestamp=last) for each in copy[-20:]])
    field.count()
    assert day(field) == before, "what is sent again across the cut is a duplicate"
    field.produce(ago_ms=10 * 60_000)
    field.count()
    exact_since_the_move(field)


def test_accept_loss_warns_with_figures_and_verify_does_not_call_the_doubled_counts_exact(field: Field) -> None:
    field.produce()
    field.count()
    total, records = field.total, len(copy := read(field))
    make_again(field, copy)
    said = field.run("accept-loss", "--yes")
    assert f"{records} of its records have Kafka timestamps at or before the last counted record" in said
    assert f"events counted now: {total:,}; with all events of the new topic: {2 * total:,}" in said
    assert f"  {total:,} of its events have pins and minutes that already have counts" in said
    assert "pintally replace-topic" in said
    field.count()
    assert field.total == 2 * total
    report = audit(addresses_of(field.settings), processes=1)
    assert (bool(report.findings), report.exit_code) == (False, 2)
    assert any(f"up to {total:,} events" in line for line in report.unverifiable)
    assert "cannot tell" in field.run("verify", "--processes", "1", code=2)


def without_one(records: list[Record]) -> list[Record]:
    at = next(at for at in range(200, 330) if len(records[at].value or b"") > 50)
    return records[:at] + records[at + 1 :] + [records[-1]]


def in_another_order(records: list[Record]) -> list[Record]:
    return records[:90] + records[100:110] + records[90:100] + records[110:]


@pytest.mark.parametrize("spoil", [without_one, in_another_order], ids=["one_missing", "another_order"])
def test_what_is_no_copy_is_refused_with_figures_and_nothing_changes(
    field: Field, spoil: Callable[[list[Record]], list[Record]]
) -> None:
    field.produce()
    field.count()
    total, ledger = field.total, field.sql("SELECT * FROM ingest_starts ORDER BY ALL")
    make_again(field, spoil(read(field)))
    for options in ([], ["--copied"]):
        with pytest.raises(Refusal, match=r"is not a copy .*(differences, the first|offset \d+ of the old log|pin \d)"):
            field.run("replace-topic", "--yes", *options)
    assert (field.total, field.sql("SELECT * FROM ingest_starts ORDER BY ALL")) == (total, ledger)
    field.refused("pintally replace-topic")


def test_a_copy_that_the_brokers_stamped_anew_is_refused_and_goes_on_behind_what_is_counted(field: Field) -> None:
    """By its own timestamps most of it would be late. From its end on the counts stay, and the clock goes on."""
    field.produce(ago_ms=6 * HOUR_MS)
    field.count()
    total = field.total
    make_again(field, read(field), topic_timestamps="LogAppendTime")
    with pytest.raises(Refusal, match="not a copy with the same offsets"):
        field.run("replace-topic", "--yes")
    with pytest.raises(Refusal, match="not a copy of the counted log"):
        field.run("replace-topic", "--copied", "--yes")
    field.run(
        "replace-topic", "--yes", "--from-offset", f"{field.topic}[0]=330", "--from-offset", f"{field.topic}[1]=0"
    )
    field.count()
    assert field.total == total
    field.produce()
    field.count()
    assert field.total > total
    exact_since_the_move(field)


def exact_since_the_move(field: Field) -> None:
    """What came before cannot be recounted; nothing differs, and what follows is exact."""
    report = audit(addresses_of(field.settings), processes=1)
    assert (report.findings.shown, report.exit_code) == ([], 2)
    assert all("recounted" in line or "twice" in line for line in report.unverifiable), report.unverifiable
    assert any("another topic replaced it" in line for line in report.unverifiable)
    since = audit(addresses_of(field.settings), since=int(time.time()), processes=1)
    assert (since.exit_code, since.unverifiable) == (0, []), "--since-hours leaves out what is over"


def test_a_mirror_with_other_offsets_is_counted_on_behind_what_is_counted(field: Field) -> None:
    """As MirrorMaker makes it: what was aborted, and the markers, are not in it. Then the copy moves once more."""
    field.produce()
    field.abort()
    field.produce(ago_ms=30 * 60_000)
    field.count()
    before, total = day(field), field.total
    make_again(field, read(field))
    with pytest.raises(Refusal, match=r"ends at offset|not a copy with the same offsets"):
        field.run("replace-topic", "--yes")
    assert "give the same counts" in field.run("replace-topic", "--copied", "--yes")
    field.count()
    assert (day(field), field.total) == (before, total)
    exact_since_the_move(field)
    make_again(field, read(field))
    field.run("replace-topic", "--yes")
    field.count()
    assert day(field) == before
    exact_since_the_move(field)
    field.produce(ago_ms=10 * 60_000)
    field.count()
    assert field.total > total
    exact_since_the_move(field)


def test_a_new_cluster_with_new_records_only_adds_them_and_keeps_stream_time(field: Field) -> None:
    field.produce()
    field.count()
    total = field.total
    [(stream_time,)] = field.sql("SELECT max(stream_time) FROM ingest_ledger")
    make_again(field, [])
    field.run("replace-topic", "--new-records", "--yes", "--note", "a new cluster")
    assert (
        field.sql("SELECT start, start_stream_time FROM ingest_starts WHERE start_stream_time > 0 AND start = 0")
        == [(0, stream_time)] * 2
    )
    field.count()
    assert field.total == total
    field.produce(ago_ms=20 * 60_000)
    field.count()
    assert field.total > total
    exact_since_the_move(field)


def test_copies_follow_one_another_and_the_place_is_taken_back_from_none_but_the_latest(field: Field) -> None:
    field.produce()
    field.count()
    before = day(field)
    for _ in range(2):
        make_again(field, read(field))
        field.run("replace-topic", "--yes")
        field.produce(5, ago_ms=20 * 60_000)
        field.count()
        field.verify()
    assert day(field)[: len(before) // 2] == before[: len(before) // 2]


def test_partitions_that_the_new_topic_has_more_are_counted_from_their_start(field: Field) -> None:
    field.produce()
    field.count()
    total = field.total
    make_again(field, read(field), partitions=4)
    field.run("replace-topic", "--yes")
    field.count()
    assert field.total == total
    field.verify()


class Killed(Exception):
    """Stands for SIGKILL."""


STEPS = ("write_replaced", "write_lost", "write_cells", "write_starts", "delete_superseded", "reopen_from")


@pytest.mark.parametrize("options", [(), ("--copied",), ("--new-records",)], ids=["same", "copied", "new"])
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_interrupted_at_any_step_it_is_run_again(
    field: Field, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], applied: bool
) -> None:
    field.produce()
    field.count()
    before = day(field)
    make_again(field, [] if "--new-records" in options else read(field))
    for step in STEPS:
        with monkeypatch.context() as patched:
            patched.setattr(
                f"pintally.sinks.clickhouse.sink.ClickHouseSession.{step}", interrupted(step, applied=applied)
            )
            with suppress(Killed):
                field.run("replace-topic", "--yes", *options)
    field.run("replace-topic", "--yes", *options)
    field.count()
    assert day(field) == before
    assert audit(addresses_of(field.settings), processes=1).findings.shown == []


def interrupted(step: str, *, applied: bool) -> Callable[..., None]:
    from pintally.sinks.clickhouse.sink import ClickHouseSession

    real = getattr(ClickHouseSession, step)

    def fail(*arguments: Any) -> None:
        if applied:
            real(*arguments)
        raise Killed

    return fail


def test_a_worker_that_still_reads_the_old_topic_adds_nothing(field: Field) -> None:
    """It had folded beyond what it had recorded; what it writes after the move is superseded."""
    field.produce()
    field.count(cut_off_at=None)
    before = day(field)
    _, asleep = field.fold(330)
    make_again(field, read(field))
    field.run("replace-topic", "--yes")
    field.count()
    field.wake(asleep)
    with field.sink.session() as session:
        session.delete_superseded()
    field.count()
    assert day(field) == before
    field.verify()
