"""Replays of dead letters: corrected values, a topic without lateness, and each dead letter at most once."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import typer
from kafka import KafkaProducer, TopicPartition
from typer.testing import CliRunner

from pintally.cli.dlq import dlq as dlq_command
from pintally.schemas.actions import Action
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.operations.replay.origins import replayed_origins
from pintally.streams.settings import Settings
from tests.e2e.running import pintally, verify, wait_caught_up, wait_for, workers
from tests.support.engines import TestEngines, topics_and_tables

HOUR_MS = 3_600_000


def event(
    pin: object = "1", occurred_at: int | None = None, event_id: str | None = None, action: str = "save"
) -> bytes:
    """An event of now, unless told otherwise."""
    occurred_at = time.time_ns() // 1_000_000 if occurred_at is None else occurred_at
    fields = {"event_id": event_id or str(uuid.uuid4()), "action": action, "pin_id": pin, "user_id": "7"}
    return json.dumps({**fields, "occurred_at": occurred_at}).encode()


def now() -> int:
    return time.time_ns() // 1_000_000


def produce(settings: Settings, values: Sequence[bytes | None], action: Action = Action.SAVE) -> None:
    """To partition 0, in this order."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, acks="all")
    for value in values:
        producer.send(settings.topics.names[action], value, key=b"k", partition=0, headers=[("trace", b"\x00\xff")])
    producer.close()


def pins(settings: Settings, view: str = "pin_engagement_1h") -> dict[int, int]:
    """Saves of each pin, as readers see them."""
    with Connection(settings.clickhouse, 30) as connection:
        return dict(connection.rows(f"SELECT pin_id, sum(saves) FROM {view} GROUP BY pin_id ORDER BY pin_id"))


def dlq(settings: Settings, *arguments: str, code: int = 0) -> Any:
    """The JSON that `pintally dlq ... --json` prints."""
    return json.loads(here(settings, dlq_command, *arguments, "--json", code=code))


def here(settings: Settings, command: typer.Typer, *arguments: str, code: int = 0) -> str:
    """What a command prints, run in this process: it starts at once, and leaves nothing open unseen."""
    variables = {name: value for name, value in settings.environment().items() if name.startswith("PINTALLY_")}
    done = CliRunner().invoke(command, arguments, env=variables)
    assert done.exit_code == code, f"{done.output}{done.exception!r}"
    return done.stdout


def test_invalid_and_late_letters_are_corrected_replayed_counted_and_never_again(
    stack: Settings, tmp_path: Path
) -> None:
    long_ago, twice, corrected = now() - 5 * HOUR_MS, str(uuid.uuid4()), str(uuid.uuid4())
    produce(
        stack,
        [
            event("1"),  # @0 counted
            event("x2"),  # @1 invalid
            event("3", long_ago),  # @2 late
            event("4", event_id=twice),  # @3 counted
            event("4", long_ago, twice),  # @4 late, and its event is counted
            b"\x1b[31mnot json",  # @5 invalid
            None,  # @6 invalid
            event("x8", event_id=corrected),  # @7 invalid, and corrected by its producer
            event("8", event_id=corrected),  # @8 counted
        ],
    )
    topic = stack.topics.names[Action.SAVE]
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
        assert pins(stack) == {1: 1, 4: 1, 8: 1}

        kinds = dlq(stack, "list")
        assert sum(kind["records"] for kind in kinds) == 6
        assert {kind["replayed"] for kind in kinds} == {0}
        assert "user" not in json.dumps(kinds)
        assert "\x1b" not in here(stack, dlq_command, "show")

        correct = ("--origin", f"{topic}[0]@1", "--set", 'pin_id="2"')
        planned = dlq(stack, "replay", *correct, "--dry-run")
        assert [(each["verdict"], each["corrected"]) for each in planned] == [("ready", ["pin_id"])]
        assert dlq(stack, "replay", *correct, "--yes")["sent"] == 1
        done = dlq(stack, "replay", "--yes", code=1)
        assert (done["sent"], done["already_replayed"], done["still_invalid"], done["counted_already"]) == (1, 1, 3, 1)
        (left,) = dlq(stack, "replay", "--origin", f"{topic}[0]@7", "--set", 'pin_id="8"', "--yes", code=1)["left"]
        assert (left["verdict"], left["why"]) == ("counted already", f"its event is also in {topic}[0]@8")

        edited = tmp_path / "edited.jsonl"
        line = dlq(stack, "show", "--origin", f"{topic}[0]@5")
        edited.write_text(json.dumps({**line, "text": event("5").decode()}) + "\n")
        assert dlq(stack, "replay", "--from", str(edited), "--yes")["sent"] == 1
        wait_caught_up(stack)
        assert pins(stack) == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 8: 1}

        again = dlq(stack, "replay", "--yes", code=1)
        assert (again["sent"], again["already_replayed"]) == (0, 3)
        assert dlq(stack, "replay", "--outcome", "late", "--even-duplicates", "--yes")["sent"] == 1
        wait_caught_up(stack)
        assert pins(stack) == {1: 1, 2: 1, 3: 1, 4: 2, 5: 1, 8: 1}
    verify(stack)
    more = stack.changed(allowed_lateness_seconds=86_400)
    wait_for(lambda: "was replayed" in pintally(more, "rules", "apply", "--yes").stderr, 60, "new rules are refused")
    (source,) = replayed_origins(stack)
    assert str(source) == f"{topic}[0]"
    assert sorted(replayed_origins(stack)[source]) == [1, 2, 4, 5]
    assert sum(kind["replayed"] for kind in dlq(stack, "list", "--outcome", "late")) == 2
    assert len(dlq(stack, "list", "--pin", "3")) == len(dlq(stack, "list", "--event-id", twice.upper())) == 1
    assert dlq(stack, "list", "--reason", "^pin_id", "--since", "2020-01-01")[0]["records"] == 2
    assert dlq(stack, "list", "--until", "2020-01-01") == dlq(stack, "list", "--topic", "click") == []


@pytest.fixture
def by_producer(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """A stack whose topics keep the producers' timestamps, so that hours can be long gone; it looks for final hours
    twice a second."""
    made = settings.changed(topic_timestamps="CreateTime", seal_seconds=0.5)
    with topics_and_tables(made, engines.addresses):
        yield made


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with Connection(settings.clickhouse, 30) as connection:
        return connection.rows(sql)


def saves_of_pin_1(settings: Settings) -> list[int]:
    """By minutes, hours and days."""
    views = ("pin_engagement_1m", "pin_engagement_1h", "pin_engagement_1d")
    return [pins(settings, view).get(1, 0) for view in views]


def test_a_sealed_hour_that_a_replay_touches_is_sealed_again_and_the_views_agree_and_cuts_are_published(
    by_producer: Settings, tmp_path: Path
) -> None:
    settings = by_producer
    before, after = now() - 5 * HOUR_MS, now()
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, acks="all")
    save = settings.topics.names[Action.SAVE]
    producer.send(save, event("1", before), partition=0, timestamp_ms=before)
    for action, topic in settings.topics.names.items():
        for partition in range(settings.topics.partitions):
            producer.send(topic, event("2", after, action=action.label), partition=partition, timestamp_ms=after)
    producer.send(save, event("1", before), partition=0, timestamp_ms=after)  # late
    producer.close()
    hour = f"toDateTime({before // HOUR_MS * 3600}, 'UTC')"
    with workers(settings, tmp_path) as start:
        start()
        wait_for(
            lambda: rows(settings, f"SELECT 1 FROM seal_state WHERE sealed_until > {hour}"), 60, "the hour is sealed"
        )
        assert saves_of_pin_1(settings) == [1, 1, 1]
        assert rows(settings, f"SELECT corrected FROM sealed FINAL WHERE window_start = {hour}") == [(False,)]
        idle = (after // 1000 - settings.worker.idle_margin_seconds) // 600 * 600  # replay topics hold cuts back
        cut = f"SELECT 1 FROM cuts WHERE cut >= toDateTime({idle}, 'UTC')"
        wait_for(lambda: rows(settings, cut), 60, "every cut up to the idle margin is published")
        assert rows(settings, "SELECT saves_24h FROM pin_features_latest WHERE pin_id = 1") == [(1,)]
        assert dlq(settings, "replay", "--yes")["sent"] == 1
        wait_caught_up(settings)
        assert saves_of_pin_1(settings) == [2, 2, 2]
        sealed = f"SELECT corrected, saves FROM sealed FINAL WHERE window_start = {hour} AND NOT is_open"
        wait_for(lambda: rows(settings, sealed) == [(True, 2)], 60, "the hour is sealed again, corrected")
        assert saves_of_pin_1(settings) == [2, 2, 2]
        assert rows(settings, "SELECT is_final FROM pin_engagement_1h WHERE pin_id = 1") == [(True,)]
        found = verify(settings)
    assert found["sealed_windows"] > 0


def late_letters(settings: Settings, directory: Path, count: int) -> None:
    """That many late records of pins 1, 2, ..., buried."""
    produce(settings, [event(str(pin), now() - 5 * HOUR_MS) for pin in range(1, count + 1)])
    with workers(settings, directory) as start:
        start()
        wait_caught_up(settings)


def sleeper_of(settings: Settings) -> "subprocess.Popen[str]":
    """A replay in a process of its own; it waits for a line between sending and committing."""
    code = (
        "import sys; from pintally.cli import main; sys.argv[1:] = ['dlq', 'replay', '--yes', '--json']\n"
        "from aiokafka import AIOKafkaProducer as P; import asyncio\n"
        "real = P.commit_transaction\n"
        "async def commit(self):\n"
        "    await self.flush()\n"
        "    print('sent', flush=True)\n"
        "    await asyncio.to_thread(sys.stdin.readline)\n"
        "    await real(self)\n"
        "P.commit_transaction = commit\n"
        "main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=settings.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def replay_source(settings: Settings) -> Source:
    name = settings.topics.replay_names[Action.SAVE]
    topics = describe_topics(settings.kafka, settings.topics)
    return sources_of({name: topics[name]})[0]


def test_a_replay_killed_between_sending_and_committing_counts_nothing_and_the_next_sends_all(
    stack: Settings, tmp_path: Path
) -> None:
    late_letters(stack, tmp_path, 5)
    killed = sleeper_of(stack)
    try:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "sent\n"
    finally:
        killed.kill()
        killed.communicate()
    source = replay_source(stack)
    ends = read_offsets(stack.kafka, [source])[source]
    assert ends.log_end == 5, "all five are in the log, in a transaction that is open"
    assert replayed_origins(stack) == {}
    with workers(stack, tmp_path) as start:
        start()
        assert dlq(stack, "replay", "--yes")["sent"] == 5
        wait_caught_up(stack)
    found = verify(stack)
    assert pins(stack) == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1}
    assert sum(source["gaps"] for source in found["sources"]) == 5 + 2, "what was aborted, and two markers"


def test_of_two_replays_at_once_the_first_is_overtaken_and_nothing_is_there_twice(
    stack: Settings, tmp_path: Path
) -> None:
    late_letters(stack, tmp_path, 5)
    sleeper = sleeper_of(stack)
    try:
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == "sent\n"
        with ThreadPoolExecutor() as at_once:
            replays = [at_once.submit(pintally, stack, "dlq", "replay", "--yes", "--json") for _ in range(3)]
        racers = [replay.result() for replay in replays]
        _, words = sleeper.communicate("commit\n", timeout=360)
        assert sleeper.returncode == 2
        assert "another replay" in words
    finally:
        sleeper.kill()
        sleeper.communicate()
    for racer in racers:
        assert racer.returncode == 0 or (racer.returncode == 2 and "another replay" in racer.stderr), racer
    sent = [json.loads(racer.stdout)["sent"] for racer in racers if racer.returncode == 0]
    assert dlq(stack, "replay", "--yes")["sent"] + sum(sent)
    with workers(stack, tmp_path) as start:
        start()
        wait_caught_up(stack)
    verify(stack)
    assert pins(stack) == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1}
    assert sorted(next(iter(replayed_origins(stack).values()))) == [0, 1, 2, 3, 4]


def test_what_a_replay_topic_has_forgotten_is_not_replayed_again_and_what_came_later_is(
    stack: Settings, tmp_path: Path
) -> None:
    stack = stack.changed(max_clock_skew_seconds=0)  # else what came within the skew is forgotten too
    late_letters(stack, tmp_path, 3)
    with workers(stack, tmp_path) as start:
        start()
        assert dlq(stack, "replay", "--limit", "2", "--yes")["sent"] == 2
        wait_caught_up(stack)
        source = replay_source(stack)
        end = read_offsets(stack.kafka, [source])[source].log_end
        with open_admin(stack.kafka) as admin:  # as retention does
            admin.delete_records({TopicPartition(source.topic, 0): end})
        done = dlq(stack, "replay", "--yes", code=1)
        assert (done["sent"], done["too_old_to_tell"]) == (0, 3), "also the third, which nobody replayed"
        produce(stack, [event("9", now() - 5 * HOUR_MS)])
        wait_caught_up(stack)
        done = dlq(stack, "replay", "--yes", code=1)
        assert (done["sent"], done["too_old_to_tell"]) == (1, 3)
        wait_caught_up(stack)
        assert pins(stack) == {1: 1, 2: 1, 9: 1}
    done = pintally(stack, "verify", "--json")
    assert done.returncode == 2, "it cannot tell of what is gone"
    assert json.loads(done.stdout)["findings"] == {}
