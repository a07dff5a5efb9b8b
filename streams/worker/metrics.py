"""The metrics of a worker: one collector that reads what is there at each scrape. Nothing is kept for it elsewhere.

A gauge of a source is made from the sources that are assigned now: what moved away has no series here any more.
"""

import os
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from time import monotonic, time
from typing import Any, Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.field_at_fault import FIELDS
from pintally.schemas.outcomes import OUTCOMES
from pintally.sinks.clickhouse.errors import KINDS, seen
from pintally.streams.http.exposition import Sample, families
from pintally.streams.kafka.letters_refused import LettersRefused
from pintally.streams.worker.counters import Name, counters
from pintally.streams.worker.health import Health, Seen, Stage
from pintally.streams.worker.lag import flushed_position, lag_seconds
from pintally.streams.worker.outage import CLICKHOUSE, KAFKA, LETTERS

STARTED_AT: Final = time()  # of this process, or of the program that took its place
ENGINES: Final = {"kafka": KAFKA, "clickhouse": CLICKHOUSE}
PREFIX: Final = "pintally_worker_"
# Metric, label, and the counter behind it (streams/worker/counters.py).
COUNTED: Final[tuple[tuple[str, tuple[str, ...], Name], ...]] = (
    ("refused_chunks_total", ("repeated",), "chunks_repeated"),
    ("refused_chunks_total", ("missing",), "chunks_ahead"),
    ("flushed_cells_total", (), "flushed_cells"),
    ("pauses_total", (), "pauses"),
    ("assignments_total", (), "assignments"),
    ("assigned_sources_total", ("kept",), "states_kept"),
    ("assigned_sources_total", ("restored",), "restores"),
    ("sealed_total", ("hours",), "hours_sealed"),
    ("sealed_total", ("cuts",), "cuts_sealed"),
    ("corrected_total", ("hours",), "hours_corrected"),
    ("corrected_total", ("features",), "features_corrected"),
)


class WorkerCollector(Collector):
    """Reads a worker. `app` is None while it waits for Kafka."""

    def __init__(self, health: Health, app: Any = None, member: str | None = None) -> None:
        """`member` is its name in the group, if it has one."""
        self._health, self._app = health, app
        packages = ("pintally", "faust-streaming", "aiokafka", "clickhouse-driver")
        pintally, *others = map(version, packages)
        self._build = (pintally, platform.python_version(), *others, member or "")

    def collect(self) -> Iterable[Metric]:
        """Every metric."""
        yield from families((f"{PREFIX}{name}", labels, value) for name, labels, value in self._samples())
        if self._app:
            measured = self._app.flusher.measured
            for each in (measured.freshness, measured.seconds, measured.steps):
                yield from each.collect()

    def _samples(self) -> Iterator[Sample]:
        yield "build_info", self._build, 1
        yield "start_time_seconds", (), STARTED_AT
        yield "process_id", (), os.getpid()
        for engine, outage in ENGINES.items():
            yield "engine_away_seconds", (engine,), outage.seconds
        for kind in KINDS:
            yield "clickhouse_errors_total", (kind,), seen.kinds[kind]
        for name, labels, counter in COUNTED:
            yield name, labels, counters[counter]
        if self._app:
            yield from _topics(self._app)
            yield from _flushes(self._app)
            yield from _letters(self._app)
        if self._app and self._health.stage is Stage.RUNNING:
            yield from _sources(self._app)
            yield from _reading(self._app)


def _topics(app: Any) -> Iterator[Sample]:
    """Counters of topics: kept for each table, and so the same whatever sources come and go."""
    for table in app.tables.values():
        tally = table.tally
        for outcome in OUTCOMES:
            yield "records_total", (table.topic, outcome), getattr(tally, outcome)
        for field in FIELDS:
            yield "dead_letters_total", (table.topic, field), tally.fields[field]
        yield "restored_records_total", (table.topic,), tally.restored


def _flushes(app: Any) -> Iterator[Sample]:
    measured = app.flusher.measured
    for outcome, number in measured.outcomes.items():
        yield "flushes_total", (outcome,), number
    yield "last_flush_timestamp_seconds", (), measured.last_at
    yield "loop_delay_seconds", (), measured.loop_delay
    yield "pending_cells_limit", (), app.settings.worker.max_pending_cells


def _letters(app: Any) -> Iterator[Sample]:
    """One that does not take letters holds all of the worker's flushes, so there is at most one at a time."""
    refused: LettersRefused | None = app.flusher.measured.refused
    for topic in sorted({dead_letter_topic(table.topic) for table in app.tables.values()}):
        is_it = refused is not None and refused.topic == topic
        reason = refused.reason if refused and is_it else ""
        yield "dead_letters_refused_seconds", (topic, reason), LETTERS.seconds if is_it else 0.0


def _sources(app: Any) -> Iterator[Sample]:
    """Gauges of the sources that are assigned now."""
    now, folds = time(), list(app.tables.folds())
    rules = {(fold.source.topic, str(fold.epoch), fold.rules.fingerprint) for fold in folds}
    for labels in sorted(rules):
        yield "rules_info", labels, 1
    for fold in folds:
        source = fold.source.topic, str(fold.source.partition)
        yield "source_offset", (*source, "folded"), fold.position
        if (flushed := flushed_position(fold)) is not None:
            yield "source_offset", (*source, "flushed"), flushed
        if (end := app.end(fold)) is not None:
            yield "source_offset", (*source, "end"), end
            yield "source_lag_seconds", source, lag_seconds(fold, end, app.caught_up.get(fold.source, 0.0), now)
    yield "pending_cells", (), sum(fold.pending_cells for fold in folds)
    yield "state_bytes", (), sum(fold.nbytes for fold in folds)
    yield "partitions", ("assigned",), len(folds)


def _reading(app: Any) -> Iterator[Sample]:
    restoring = app.tables.restoring
    restoring.look(app.tables.folds(), monotonic())
    yield "restore_seconds", (), restoring.seconds
    yield "partitions", ("paused",), app.consumer.paused_partitions
    if (silence := app.consumer.silence) is not None:
        yield "heartbeat_age_seconds", (), silence


def seen_of(health: Health, app: Any = None) -> Seen:
    """What readiness is decided by."""
    away = {outage.name: outage.seconds for outage in ENGINES.values()}
    if app is None or health.stage is not Stage.RUNNING:
        return Seen(health.stage, away, rebalancing=False, restoring=0, paused=False, flushed_ago=0.0)
    restoring = app.tables.restoring
    restoring.look(app.tables.folds(), monotonic())
    return Seen(
        health.stage,
        away,
        rebalancing=app.rebalancing or restoring.assigning,
        restoring=len(restoring.ahead),
        paused=app.backpressure.is_full,
        flushed_ago=time() - app.flusher.measured.last_at,
    )
