"""The metrics of `pintally serve`: the last look as Prometheus reads it. A scrape asks no engine."""

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from math import inf
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from pintally.schemas.metrics import VERIFIED
from pintally.schemas.outcomes import OUTCOMES
from pintally.schemas.sources import Source
from pintally.serve.derived import headroom, holders, is_blocked, lost_records, outcomes_of, rules_of
from pintally.serve.findings import ENGINES, Engine, Look, Tables
from pintally.serve.seen import lag_seconds
from pintally.serve.verified import Runs
from pintally.streams.http.exposition import Sample, families
from pintally.streams.operations.progress import Progress
from pintally.streams.settings import Settings


class Known(Protocol):
    """What the metrics are made of."""

    verified: Runs
    answers: Counter[tuple[str, str]]

    @property
    def look(self) -> Look:
        """The newest look."""

    @property
    def tables(self) -> Tables:
        """What is looked at less often."""

    @property
    def errors(self) -> dict[Engine, int]:
        """Looks that failed, by engine."""


class Serving(Collector):
    """One collector; what is not known has no series."""

    def __init__(self, settings: Settings, known: Known) -> None:
        self._settings, self._known = settings, known

    def collect(self) -> Iterable[Metric]:
        """Every sample, by the metric that it is of."""
        return families(samples(self._settings, self._known))


def registry_of(settings: Settings, known: Known) -> CollectorRegistry:
    """Returns all that `/metrics` shows: what is known, and the metrics of this process."""
    registry = CollectorRegistry()
    registry.register(Serving(settings, known))
    ProcessCollector(registry=registry)
    return registry


def samples(settings: Settings, known: Known) -> Iterator[Sample]:
    """Every sample of what is known."""
    look, tables = known.look, known.tables
    held = holders(look)
    for progress in look.sources:
        yield from _source(progress, look, held)
    for topic, outcomes in outcomes_of(look).items():
        for outcome in OUTCOMES:
            yield "pintally_records_total", (topic, outcome), getattr(outcomes, outcome)
    yield from _group(look)
    yield from _sealed(look)
    if look.kafka and look.clickhouse:
        for topic, lost in lost_records(look).items():
            yield "pintally_lost_records_total", (topic,), lost
        yield from _rules(look)
    yield "pintally_allowed_lateness_seconds", (), settings.rules.allowed_lateness_seconds
    yield from _tables(tables)
    yield from _looks(known)
    for scope, values in known.verified.by_scope.items():
        for metric in VERIFIED:
            yield metric.name, (scope,), values[metric.name]
    for (route, status), number in known.answers.items():
        yield "pintally_http_requests_total", (route, status), number


def _source(progress: Progress, look: Look, held: Set[Source]) -> Iterator[Sample]:
    source = progress.source.topic, str(progress.source.partition)
    offsets = {"log_start": progress.log_start, "flushed": progress.position,
               "last_stable": progress.ends.last_stable, "log_end": progress.log_end}  # fmt: skip
    for position, offset in offsets.items():
        if offset is not None:
            yield "pintally_source_offset", (*source, position), offset
    seen, left = look.seen[progress.source], headroom(progress, look)
    yield "pintally_source_lag_records", source, max(0, progress.lag)
    yield "pintally_source_lag_seconds", source, lag_seconds(progress, seen, look.at)
    if progress.stream_time and progress.stream_time > 0:
        yield "pintally_source_stream_time_seconds", source, progress.stream_time / 1000
    yield "pintally_source_retention_headroom_seconds", source, inf if left is None else left
    yield "pintally_source_blocked", source, is_blocked(progress)
    yield "pintally_source_holds_sealing", source, progress.source in held


def _group(look: Look) -> Iterator[Sample]:
    if look.kafka:
        group = look.kafka.group
        assigned = sum(group.owner(each.source) is not None for each in look.sources)
        yield "pintally_group_members", (), len(group.members)
        yield "pintally_group_partitions", ("assigned",), assigned
        yield "pintally_group_partitions", ("unassigned",), len(look.sources) - assigned


def _sealed(look: Look) -> Iterator[Sample]:
    if look.clickhouse:
        sealed = look.clickhouse.sealed
        yield "pintally_sealed_until_timestamp_seconds", (), sealed.until
        yield "pintally_open_windows", (), sealed.open_hours
        yield "pintally_newest_cut_timestamp_seconds", (), sealed.newest_cut


def _rules(look: Look) -> Iterator[Sample]:
    in_force = {
        (each.source.topic, str(each.epoch), each.fingerprint, "true" if each.rules else "false")
        for each in rules_of(look)
    }
    for labels in sorted(in_force):
        yield "pintally_rules_info", labels, 1


def _tables(tables: Tables) -> Iterator[Sample]:
    records: Counter[tuple[str, str, str]] = Counter()
    for each in tables.letters:
        records[each.topic, each.outcome, each.field] += each.records
    for labels, number in records.items():
        yield "pintally_dead_letters", labels, number
    for table, rows in tables.superseded.items():
        yield "pintally_superseded_rows", (table,), rows
    for size in tables.sizes:
        yield "pintally_clickhouse_parts", (size.name,), size.parts
        yield "pintally_clickhouse_rows", (size.name,), size.rows
        yield "pintally_clickhouse_bytes", (size.name,), size.bytes


def _looks(known: Known) -> Iterator[Sample]:
    look, tables = known.look, known.tables
    for at, moment, seconds in (("ledger", look.answered, look.seconds), ("tables", tables.looked_at, tables.seconds)):
        if moment:
            yield "pintally_look_timestamp_seconds", (at,), moment
            yield "pintally_look_seconds", (at,), seconds
    for engine in ENGINES:
        trouble = look.trouble.get(engine)
        yield "pintally_engine_away_seconds", (engine,), max(0.0, look.at - trouble.since) if trouble else 0.0
        yield "pintally_look_errors_total", (engine,), known.errors[engine]
