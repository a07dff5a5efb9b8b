"""Scenarios: for each protection the smallest course of things that it is for, the same each time.

With all protections on each of them ends exact; without one of those that it names it fails.
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
from pintally.tools.drill.fault_context import NoEffect, require_effect
from pintally.tools.drill.proxy import Mode
from pintally.tools.python import PINTALLY
from tests.controls import CONTROLS
from tests.controls.scenario_context import HOUR_MS, Event, ScenarioContext, ScenarioWorker

BUCKET_MS = 600_000
MANY = 100  # cells: their insert is large enough for a proxy to know it by
FETCHED_SECONDS = 2.0  # longer than any fetch that a stopped worker may have under way
ANSWERED_SECONDS = 4.0  # for Kafka to refuse a letter that nobody waits for
NOTICED_SECONDS = 8.0  # for what happens only without a protection
ATTEMPTS = 5
EMPTY_SECONDS = 30.0
APPLIED_SECONDS = 30.0

Run = Callable[[ScenarioContext], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario, and what it is for."""

    name: str
    summary: str
    run: Run
    without: tuple[str, ...]  # the protections that it needs
    chosen: Mapping[str, Any] = field(default_factory=dict)  # settings by name
    inject: str | None = None  # a fault inside the worker, see tests.controls.worker
    refuses: bool = False  # with all protections on, a worker ends and asks for a person


SCENARIOS: dict[str, Scenario] = {}


def scenario(*without: str, inject: str | None = None, refuses: bool = False, **chosen: Any) -> Callable[[Run], Run]:
    """Register a function as the scenario for these controls; its docstring is the summary."""

    def register(run: Run) -> Run:
        unknown = [name for name in without if name not in CONTROLS]
        assert not unknown, unknown
        name = run.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, (run.__doc__ or "").strip(), run, without, chosen, inject, refuses)
        return run

    return register


def scenario_of(control: str) -> Scenario:
    """The scenario that needs this protection. Raises KeyError."""
    return next(s for s in SCENARIOS.values() if control in s.without)


def counted(context: ScenarioContext) -> None:
    """Wait until all is counted that was sent."""
    require_effect(context.wait_counted(), "what was sent was not counted")


def pins(at: int, count: int, first: int = 1) -> list[Event]:
    """Events of as many pins."""
    return [Event(at, pin) for pin in range(first, first + count)]


@scenario(
    "only-counted-ids-register",
    "stream-time-moves-by-chunk",
    "read-uncommitted",
    "sums-instead-of-absolutes",
)
def odd_records(context: ScenarioContext) -> None:
    """An id first late, then on time; a jump of the clock within a chunk; an aborted transaction; a cell that grows."""
    early, now, repeated = context.begin, context.begin + 2 * HOUR_MS, uuid.uuid4()
    context.send(
        Event(early),
        Event(now),
        Event(now, occurred_at=early, event_id=repeated, counts=False),
        Event(now, event_id=repeated, counts=False),
    )
    context.send_aborted(*[Event(now) for _ in range(10)])
    context.start()
    counted(context)
    context.send(Event(now), Event(now))


@scenario("ids-not-collected", "ids-of-the-previous-slice-only", "base-is-the-ledgers-position")
def restart_between_repeats(context: ScenarioContext) -> None:
    """A worker is killed in the middle of a slice; then an id comes again whose first record is two slices back."""
    before, after, repeated = context.begin, context.begin + BUCKET_MS, uuid.uuid4()
    worker = context.start()
    context.send(Event(before, event_id=repeated), *pins(before, 9))
    context.send(*pins(after, 10), *[Event(after, 77) for _ in range(5)])
    counted(context)
    worker.kill()
    worker.start()
    context.send(*[Event(after, 77) for _ in range(5)], Event(after, event_id=repeated, counts=False))


@scenario("stream-time-not-carried-over-a-restart")
def restart_behind_the_clock(context: ScenarioContext) -> None:
    """A worker is killed long after the clock was moved; what comes then has earlier timestamps than the clock."""
    early, late = context.begin, context.begin + HOUR_MS
    worker = context.start()
    context.send(*pins(late, 20), *[Event(early, counts=False) for _ in range(45)])
    counted(context)
    worker.kill()
    worker.start()
    context.send(*[Event(early, counts=False) for _ in range(5)])


@scenario("ledger-before-rows")
def lost_insert_and_worker(context: ScenarioContext) -> None:
    """An insert of cells is lost on its way to ClickHouse, and its worker is killed."""
    worker = context.start()
    held(context, worker, lambda: context.send(*pins(context.begin, MANY)))
    worker.kill()
    lose(worker)
    worker.start()


@scenario("two-flushes-in-flight", "dirty-cleared-before-the-answer", "failed-ledger-rows-not-merged-back")
def slow_insert(context: ScenarioContext) -> None:
    """An insert hangs; new records come, few enough for an insert that would not hang; then the first one is lost."""
    worker = context.start()
    held(context, worker, lambda: context.send(*pins(context.begin, MANY)))
    context.send(*pins(context.begin, 2, first=1_000))
    context.wait_counted(NOTICED_SECONDS)  # only without the protection
    lose(worker)


@scenario("version-from-the-wall-clock", partitions=2, flush_interval_seconds=1.0, slice_records=1_000)
def insert_of_a_former_owner(context: ScenarioContext) -> None:
    """An insert hangs while another worker takes over some of its sources and counts on; then it arrives."""
    owners = [(action, partition) for action in Action for partition in range(2)]
    for action, partition in owners:
        context.send(*pins(context.begin, MANY), action=action, partition=partition)
    second = about_to_join(context)
    first = context.start()
    held(context, first, lambda: None)
    for action, partition in owners:
        context.send(*pins(context.begin, 2), action=action, partition=partition)
    second.signal(signal.SIGCONT)
    taken = context.until(
        lambda: any(at and at == context.ends()[source] for source, at in context.positions().items())
    )
    require_effect(taken, "the second worker took over none of the sources that had records")
    require_effect(not first.count("flushes_failed"), "the first worker has given its insert up")
    first.proxy.set(Mode.PASS)


@scenario("superseded-rows-read", slice_records=5)
def late_ledger_rows(context: ScenarioContext) -> None:
    """A worker sleeps while its ledger rows are under way; the rules change; then the rows arrive."""
    worker = context.start(held_table="ingest_ledger")
    held(context, worker, lambda: context.send(*pins(context.begin, MANY)))
    worker.signal(signal.SIGSTOP)
    context.settings = context.settings.changed(allowed_lateness_seconds=1_200)
    apply_rules(context)
    worker.proxy.set(Mode.PASS)
    rows = "SELECT count() FROM ingest_ledger FINAL"
    require_effect(context.until(lambda: context.probe.rows(rows)[0][0]), "the rows did not arrive")
    worker.kill()
    second = context.start()
    require_effect(context.until(lambda: second.count("restores")), "the second worker was given nothing")
    context.send(*pins(context.begin, 5))
    context.wait_counted(NOTICED_SECONDS)
    with context.sink.session() as session:
        session.delete_superseded()  # as the next sealing does


@scenario("dead-letters-not-awaited")
def dead_letters_refused(context: ScenarioContext) -> None:
    """The dead-letter topic takes no records for a while."""
    limit(context, 1)
    worker = context.start()
    context.send(Event(context.begin), Event(context.begin, is_json=False, counts=False))
    context.until(lambda: worker.count("flushes_failed") or context.lag() == 0)
    time.sleep(ANSWERED_SECONDS)
    limit(context, DEAD_LETTER_BYTES)


@scenario("offset-reset-earliest", refuses=True, session_timeout_seconds=20.0)
def log_deleted_ahead(context: ScenarioContext) -> None:
    """Retention deletes records that a stopped worker has not read yet."""
    worker = context.start()
    context.send(*pins(context.begin, 5))
    counted(context)
    worker.signal(signal.SIGSTOP)
    time.sleep(FETCHED_SECONDS)
    context.send(*pins(context.begin, 10))
    partition = TopicPartition(context.settings.topics.names[Action.SAVE], 0)
    with open_admin(context.settings.kafka) as admin:
        admin.delete_records({partition: 10})
    worker.signal(signal.SIGCONT)


@scenario("no-chain-check", inject="lost-start")
def lost_start(context: ScenarioContext) -> None:
    """Half a chunk that was fetched never arrives; what follows it does."""
    context.start()
    context.send(*pins(context.begin, 5))
    counted(context)
    context.send(*pins(context.begin, 10))


@scenario("no-seek-for-a-missing-tail", inject="lost-chunk")
def lost_chunk(context: ScenarioContext) -> None:
    """A chunk that was fetched never arrives, and none follows."""
    context.start()
    context.send(*pins(context.begin, 5))
    counted(context)
    context.send(*pins(context.begin, 5))


@scenario("no-read-back")
def restored_copy(context: ScenarioContext) -> None:
    """ClickHouse is restored from a copy that is older than what was counted."""
    context.start()
    context.send(*pins(context.begin, 30))
    counted(context)
    for table in ("pin_minutes", "ingest_ledger"):  # whoever misses ledger rows writes cells at once
        context.probe.alter(f"TRUNCATE TABLE {table}")
    context.send(*pins(context.begin, 5))


def held(context: ScenarioContext, worker: ScenarioWorker, begin: Callable[[], None]) -> None:
    """Begin something, and wait until the proxy of the worker holds an insert."""
    worker.proxy.set(Mode.HOLD_REQUEST)
    begin()
    require_effect(context.until(lambda: worker.proxy.traffic.held > 0), "no insert was held")


def about_to_join(context: ScenarioContext) -> ScenarioWorker:
    """A worker that is stopped just before it joins its group: a start may take longer than an insert may hang."""
    worker = context.start()
    for _ in range(ATTEMPTS):
        started = context.until(lambda: worker.count_of_process("starts"), pause_s=0.01)  # it joins soon after that
        require_effect(started, "a worker did not start")
        worker.signal(signal.SIGSTOP)
        if not worker.count_of_process("assignments"):
            return worker
        worker.kill()
        worker.start()
    raise NoEffect("a worker joined each time before it could be stopped")


def lose(worker: ScenarioWorker) -> None:
    """What the proxy holds never arrives."""
    worker.proxy.cut()
    worker.proxy.set(Mode.PASS)


def apply_rules(context: ScenarioContext) -> None:
    """`pintally rules apply`, as soon as the group is empty."""
    command = [*PINTALLY, "rules", "apply", "--yes"]
    said: list[str] = []

    def done() -> bool:
        run = subprocess.run(
            command, env=context.settings.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=180,
        )  # fmt: skip
        said.append(run.stderr)
        return run.returncode == 0

    require_effect(
        context.until(lambda: not group_members(context.settings.kafka), EMPTY_SECONDS), "the group is not empty"
    )
    require_effect(context.until(done, APPLIED_SECONDS), f"`pintally rules apply` refused: {said[-1]}")


def limit(context: ScenarioContext, size: int) -> None:
    """The largest batch in bytes that the dead-letter topics take."""
    configs = {"max.message.bytes": str(size)}
    set_topic_configs(
        context.settings.kafka, {dead_letter_topic(topic): configs for topic in context.settings.topics.names.values()}
    )
