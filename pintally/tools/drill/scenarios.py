"""Scenarios: for each protection the smallest course of things that it is for, the same each time.

With all protections on each of them ends exact; without the one that a scenario names it ends red.
"""

import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka import TopicPartition

from pintally.schemas.actions import Action, dead_letter_topic
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import DEAD_LETTER_BYTES, group_members
from pintally.tools.drill.controls import CONTROLS
from pintally.tools.drill.proxy import Mode
from pintally.tools.drill.scene import HOUR_MS, Event, Scene, SceneWorker
from pintally.tools.drill.stage import DidNotBite
from pintally.tools.python import PINTALLY

BUCKET_MS = 600_000
MANY = 100  # cells: their insert is large enough for a door to know it by
FETCHED_SECONDS = 0.5  # longer than any fetch that a stopped worker may have under way
ANSWERED_SECONDS = 1.0  # for Kafka to refuse a letter that nobody waits for
NOTICED_SECONDS = 5.0  # for what happens only without a protection
ATTEMPTS = 5
EMPTY_SECONDS = 30.0
APPLIED_SECONDS = 30.0

Play = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scene, and what it is for."""

    name: str
    summary: str
    play: Play
    without: tuple[str, ...]  # the protections that it needs
    chosen: Mapping[str, Any] = field(default_factory=dict)  # settings by name
    inject: str | None = None  # a fault inside the worker, see pintally.tools.drill.worker
    refuses: bool = False  # with all protections on, a worker ends and asks for a person


SCENARIOS: dict[str, Scenario] = {}


def scenario(*without: str, inject: str | None = None, refuses: bool = False, **chosen: Any) -> Callable[[Play], Play]:
    """Register a function as the scenario for these controls; its docstring is the summary."""

    def register(play: Play) -> Play:
        unknown = [name for name in without if name not in CONTROLS]
        assert not unknown, unknown
        name = play.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, (play.__doc__ or "").strip(), play, without, chosen, inject, refuses)
        return play

    return register


def scenario_of(control: str) -> Scenario:
    """The scenario that needs this protection. Raises KeyError."""
    return next(s for s in SCENARIOS.values() if control in s.without)


def bite(happened: bool, otherwise: str) -> None:
    """Raise DidNotBite unless it happened: the scene proves nothing then."""
    if not happened:
        raise DidNotBite(otherwise)


def counted(scene: Scene) -> None:
    """Wait until all is counted that was sent."""
    bite(scene.wait_counted(), "what was sent was not counted")


def pins(at: int, count: int, first: int = 1) -> list[Event]:
    """Events of as many pins."""
    return [Event(at, pin) for pin in range(first, first + count)]


@scenario(
    "only-counted-ids-register",
    "clock-moves-by-chunk",
    "read-uncommitted",
    "sums-instead-of-absolutes",
)
def odd_records(scene: Scene) -> None:
    """An id first late, then on time; a jump of the clock within a chunk; an aborted transaction; a cell that grows."""
    early, now, repeated = scene.begin, scene.begin + 2 * HOUR_MS, uuid.uuid4()
    scene.send(
        Event(early),
        Event(now),
        Event(now, occurred_at=early, event_id=repeated, counts=False),
        Event(now, event_id=repeated, counts=False),
    )
    scene.send_aborted(*[Event(now) for _ in range(10)])
    scene.start()
    counted(scene)
    scene.send(Event(now), Event(now))


@scenario("ids-not-collected", "ids-of-the-previous-slice-only", "base-is-the-ledgers-position")
def restart_between_repeats(scene: Scene) -> None:
    """A worker is killed in the middle of a slice; then an id comes again whose first record is two slices back."""
    before, after, repeated = scene.begin, scene.begin + BUCKET_MS, uuid.uuid4()
    worker = scene.start()
    scene.send(Event(before, event_id=repeated), *pins(before, 9))
    scene.send(*pins(after, 10), *[Event(after, 77) for _ in range(5)])
    counted(scene)
    worker.kill()
    worker.start()
    scene.send(*[Event(after, 77) for _ in range(5)], Event(after, event_id=repeated, counts=False))


@scenario("clock-not-carried-over-a-restart")
def restart_behind_the_clock(scene: Scene) -> None:
    """A worker is killed long after the clock was moved; what comes then has earlier timestamps than the clock."""
    early, late = scene.begin, scene.begin + HOUR_MS
    worker = scene.start()
    scene.send(*pins(late, 20), *[Event(early, counts=False) for _ in range(45)])
    counted(scene)
    worker.kill()
    worker.start()
    scene.send(*[Event(early, counts=False) for _ in range(5)])


@scenario("ledger-before-rows")
def lost_insert_and_worker(scene: Scene) -> None:
    """An insert of cells is lost on its way to ClickHouse, and its worker is killed."""
    worker = scene.start()
    held(scene, worker, lambda: scene.send(*pins(scene.begin, MANY)))
    worker.kill()
    lose(worker)
    worker.start()


@scenario("two-flushes-in-flight", "dirty-cleared-before-the-answer", "failed-ledger-rows-not-merged-back")
def slow_insert(scene: Scene) -> None:
    """An insert hangs; new records come, few enough for an insert that would not hang; then the first one is lost."""
    worker = scene.start()
    held(scene, worker, lambda: scene.send(*pins(scene.begin, MANY)))
    scene.send(*pins(scene.begin, 2, first=1_000))
    scene.wait_counted(NOTICED_SECONDS)  # only without the protection
    lose(worker)


@scenario("version-from-the-wall-clock", partitions=2, flush_interval_seconds=1.0, slice_records=1_000)
def insert_of_a_former_owner(scene: Scene) -> None:
    """An insert hangs while another worker takes over some of its sources and counts on; then it arrives."""
    owners = [(action, partition) for action in Action for partition in range(2)]
    for action, partition in owners:
        scene.send(*pins(scene.begin, MANY), action=action, partition=partition)
    second = about_to_join(scene)
    first = scene.start()
    held(scene, first, lambda: None)
    for action, partition in owners:
        scene.send(*pins(scene.begin, 2), action=action, partition=partition)
    second.signal(signal.SIGCONT)
    taken = scene.until(lambda: any(at and at == scene.ends()[source] for source, at in scene.positions().items()))
    bite(taken, "the second worker took over none of the sources that had records")
    bite(not first.said("flush not recorded"), "the first worker has given its insert up")
    first.door.set(Mode.PASS)


@scenario("superseded-rows-read", slice_records=5)
def late_ledger_rows(scene: Scene) -> None:
    """A worker sleeps while its ledger rows are under way; the rules change; then the rows arrive."""
    worker = scene.start(held_table="ingest_ledger")
    held(scene, worker, lambda: scene.send(*pins(scene.begin, MANY)))
    worker.signal(signal.SIGSTOP)
    scene.settings = scene.settings.changed(allowed_lateness_seconds=1_200)
    apply_rules(scene)
    worker.door.set(Mode.PASS)
    rows = "SELECT count() FROM ingest_ledger FINAL"
    bite(scene.until(lambda: scene.probe.rows(rows)[0][0]), "the rows did not arrive")
    worker.kill()
    second = scene.start()
    bite(scene.until(lambda: second.said("folded again from")), "the second worker was given nothing")
    scene.send(*pins(scene.begin, 5))
    scene.wait_counted(NOTICED_SECONDS)
    with scene.sink.session() as session:
        session.delete_superseded()  # as the next sealing does


@scenario("dead-letters-not-awaited")
def dead_letters_refused(scene: Scene) -> None:
    """The dead-letter topic takes no records for a while."""
    limit(scene, 1)
    worker = scene.start()
    scene.send(Event(scene.begin), Event(scene.begin, is_json=False, counts=False))
    scene.until(lambda: worker.said("flush not recorded") or scene.lag() == 0)
    time.sleep(ANSWERED_SECONDS)
    limit(scene, DEAD_LETTER_BYTES)


@scenario("offset-reset-earliest", refuses=True, session_timeout_seconds=20.0)
def log_deleted_ahead(scene: Scene) -> None:
    """Retention deletes records that a stopped worker has not read yet."""
    worker = scene.start()
    scene.send(*pins(scene.begin, 5))
    counted(scene)
    worker.signal(signal.SIGSTOP)
    time.sleep(FETCHED_SECONDS)
    scene.send(*pins(scene.begin, 10))
    partition = TopicPartition(scene.settings.topics.names[Action.SAVE], 0)
    with open_admin(scene.settings) as admin:
        admin.delete_records({partition: 10})
    worker.signal(signal.SIGCONT)


@scenario("no-chain-check", inject="lost-start")
def lost_start(scene: Scene) -> None:
    """Half a chunk that was fetched never arrives; what follows it does."""
    scene.start()
    scene.send(*pins(scene.begin, 5))
    counted(scene)
    scene.send(*pins(scene.begin, 10))


@scenario("no-seek-for-a-missing-tail", inject="lost-chunk")
def lost_chunk(scene: Scene) -> None:
    """A chunk that was fetched never arrives, and none follows."""
    scene.start()
    scene.send(*pins(scene.begin, 5))
    counted(scene)
    scene.send(*pins(scene.begin, 5))


@scenario("no-read-back")
def restored_copy(scene: Scene) -> None:
    """ClickHouse is restored from a copy that is older than what was counted."""
    scene.start()
    scene.send(*pins(scene.begin, 30))
    counted(scene)
    for table in ("pin_minutes", "ingest_ledger"):  # whoever misses ledger rows writes cells at once
        scene.probe.alter(f"TRUNCATE TABLE {table}")
    scene.send(*pins(scene.begin, 5))


def held(scene: Scene, worker: SceneWorker, begin: Callable[[], None]) -> None:
    """Begin something, and wait until the door of the worker holds an insert."""
    worker.door.set(Mode.HOLD)
    begin()
    bite(scene.until(lambda: worker.door.traffic.held > 0), "no insert was held")


def about_to_join(scene: Scene) -> SceneWorker:
    """A worker that is stopped just before it joins its group: a start may take longer than an insert may hang."""
    worker = scene.start()
    for _ in range(ATTEMPTS):
        bite(scene.until(lambda: worker.said("Starting...")), "a worker did not start")
        worker.signal(signal.SIGSTOP)
        if not worker.said("Joined group"):
            return worker
        worker.kill()
        worker.start()
    raise DidNotBite("a worker joined each time before it could be stopped")


def lose(worker: SceneWorker) -> None:
    """What the door holds never arrives."""
    worker.door.cut()
    worker.door.set(Mode.PASS)


def apply_rules(scene: Scene) -> None:
    """`pintally rules apply`, as soon as the group is empty."""
    command = [*PINTALLY, "rules", "apply", "--yes"]
    said: list[str] = []

    def done() -> bool:
        run = subprocess.run(
            command, env=scene.settings.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        said.append(run.stderr)
        return run.returncode == 0

    bite(scene.until(lambda: not group_members(scene.settings), EMPTY_SECONDS), "the group is not empty")
    bite(scene.until(done, APPLIED_SECONDS), f"`pintally rules apply` refused: {said[-1]}")


def limit(scene: Scene, size: int) -> None:
    """The largest batch in bytes that the dead-letter topics take."""
    configs = {"max.message.bytes": str(size)}
    set_topic_configs(
        scene.settings, {dead_letter_topic(topic): configs for topic in scene.settings.topics.names.values()}
    )
