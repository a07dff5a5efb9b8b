"""Start rows and ledger rows to and from ClickHouse."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pintally.schemas.outcomes import OUTCOMES, Outcomes
from pintally.schemas.rows import NO_EPOCH, LedgerRow, LostKind, LostRow, Newest, SourceLedger, StartRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection, OnConnection
from pintally.sinks.clickhouse.replaced import read_replaced
from pintally.sinks.clickhouse.shards import refuse_other_number

SOURCE = ("source", "topic", "topic_id", "partition")
START = (*SOURCE, "epoch", "start", "start_stream_time", "rules")
LOST = (*SOURCE, "epoch", "kind", "start", "end", "note")
LEDGER = (
    *SOURCE, "slice_block", "arrived_at", "start", "start_stream_time", "position", "stream_time", *OUTCOMES,
    "cells_sum", "epoch", "rules", "sums", "version",
)  # fmt: skip
DISPUTED = """
SELECT source, max(epoch) FROM
(SELECT source, epoch FROM ingest_claims WHERE source IN %(ids)s GROUP BY source, epoch HAVING uniqExact(rules) > 1)
GROUP BY source"""
OF_SOURCES = "WHERE source IN %(ids)s"


class Ledger(OnConnection):
    """The ledger of a session, its start rows and its lost rows."""

    shards = 1  # servers that share the pins

    def write_starts(self, rows: Sequence[StartRow]) -> None:
        self.connection.insert(
            "ingest_starts",
            START,
            [(*_name(row.source), row.epoch, row.start, row.start_stream_time, row.rules) for row in rows],
        )

    def write_claims(self, rows: Sequence[StartRow]) -> None:
        claims = [(row.source.id, row.epoch, row.rules) for row in rows]
        self.connection.insert("ingest_claims", ("source", "epoch", "rules"), claims)

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        # The rows that they cover were written with fsync before (C10).
        self.connection.insert("ingest_ledger", LEDGER, [_ledger_values(row) for row in rows])

    def write_lost(self, rows: Sequence[LostRow]) -> None:
        self.connection.insert(
            "ingest_lost",
            LOST,
            [(*_name(row.source), row.epoch, row.kind.value, row.start, row.end, row.note) for row in rows],
        )

    def read_ledgers(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> dict[Source, SourceLedger]:
        """`first`, where given, has the block and bucket of the first slice whose rows are read.

        Raises Refusal if the counts are shared by another number of servers than the settings name.
        """
        starts: dict[int, list[StartRow]] = {source.id: [] for source in sources}
        rows: dict[int, list[LedgerRow]] = {source.id: [] for source in sources}
        lost: dict[int, list[LostRow]] = {source.id: [] for source in sources}
        by_id = {source.id: source for source in sources}
        if not by_id:
            return {}
        sync(self.connection, "ingest_claims", "ingest_starts", "ingest_ledger", "ingest_lost", "ingest_replaced")
        # FINAL is not needed for starts: equal keys are equal rows, because an epoch is claimed for its rules (C12).
        for id_, *start in self.connection.rows(
            "SELECT source, epoch, start, start_stream_time, rules FROM ingest_starts WHERE source IN %(ids)s"
            " ORDER BY source, epoch, start LIMIT 1 BY source, epoch",
            ids=list(by_id),
        ):
            starts[id_].append(StartRow(by_id[id_], *start))
        refuse_other_number(self.connection, [row for of_source in starts.values() for row in of_source], self.shards)
        for id_, *values in self.connection.rows(
            "SELECT source, slice_block, toUnixTimestamp(arrived_at), start, start_stream_time, position, stream_time,"
            " counted, duplicate, late, invalid, gaps, cells_sum, epoch, rules, sums"
            f" FROM ingest_ledger FINAL WHERE source IN %(ids)s{_from(first or {})}"
            " ORDER BY source, start, epoch, position",
            ids=list(by_id),
        ):
            slice_, outcomes, rest = values[:6], Outcomes(*values[6:11]), values[11:]
            rows[id_].append(LedgerRow(by_id[id_], *[*slice_, outcomes, *rest]))
        for id_, epoch, kind, start_, end, note in self.connection.rows(
            "SELECT source, epoch, toString(kind), start, `end`, note FROM ingest_lost FINAL WHERE source IN %(ids)s"
            " ORDER BY source, epoch, start, `end`, toString(kind)",
            ids=list(by_id),
        ):
            lost[id_].append(LostRow(by_id[id_], epoch, LostKind(kind), start_, end, note))
        disputed = dict(self.connection.rows(DISPUTED, ids=list(by_id)))
        replaced = read_replaced(self.connection)
        return {
            source: SourceLedger(
                tuple(starts[source.id]),
                tuple(rows[source.id]),
                tuple(lost[source.id]),
                next((row for row in replaced if row.begins(source)), None),
                tuple(row for row in replaced if row.old == source),
                disputed=disputed.get(source.id, NO_EPOCH),
            )
            for source in sources
        }

    def read_back(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, Newest]:
        ids = [source.id for source in sources]
        if not ids:
            return {}
        sync(self.connection, "ingest_starts", "ingest_ledger")
        epochs = self.connection.rows(
            f"SELECT source, max(epoch) FROM ingest_starts {OF_SOURCES} GROUP BY source", ids=ids
        )
        versions = self.connection.rows(
            f"SELECT source, max(version) FROM ingest_ledger {OF_SOURCES}{_from(first or {})} GROUP BY source", ids=ids
        )
        found = dict(epochs), dict(versions)
        return {source: Newest(*(newest.get(source.id) for newest in found)) for source in sources}


def known_sources(connection: Connection) -> Iterable[Source]:
    """Every source that has a start row."""
    rows = connection.rows("SELECT DISTINCT topic, topic_id, partition FROM ingest_starts ORDER BY topic, partition")
    return [Source(*row) for row in rows]


def _from(first: Mapping[Source, tuple[int, int]]) -> str:
    """SQL that leaves out the slices before the first one of each source. By the sort key: they are not read."""
    if not first:
        return ""
    named = ", ".join(str(source.id) for source in first)
    parts = [
        f"(source = {source.id} AND slice_block >= {block} AND (slice_block > {block} OR arrived_at >= {bucket}))"
        for source, (block, bucket) in first.items()
    ]
    return f" AND (source NOT IN ({named}) OR {' OR '.join(parts)})"


def _name(source: Source) -> tuple[Any, ...]:
    return source.id, source.topic, source.topic_id, source.partition


def _ledger_values(row: LedgerRow) -> tuple[Any, ...]:
    outcomes = tuple(getattr(row.outcomes, name) for name in OUTCOMES)
    head = (
        *_name(row.source),
        row.slice_block,
        row.arrived_at,
        row.start,
        row.start_stream_time,
        row.position,
        row.stream_time,
    )
    return (*head, *outcomes, row.cells_sum, row.epoch, row.rules, dict(row.sums), row.version)
