"""The windows of features, each with what is its own in the steps of sealing: a bucket, a complete hour, a base."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.clickhouse.sealing import base_rows, known_rows
from pintally.sinks.clickhouse.sealing.cut_times import NEWEST
from pintally.sinks.clickhouse.sealing.feature_seals import (
    BASE,
    HOURS,
    KEPT,
    TILES,
    FeatureSeal,
    Known,
    Name,
    open_windows,
    publish,
    read_seal,
    read_seals,
)
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR
from pintally.sinks.clickhouse.sealing.steps import Steps
from pintally.sinks.clickhouse.sealing.top_rows import HOUR_TOPS, TILE_TOPS, Highest, Tops, wanted
from pintally.sinks.clickhouse.stale_rows import Selection, delete_superseded, has_superseded, in_bucket, in_hours


class Overtaken(Exception):
    """Another sealer published a cut meanwhile: what is complete when may be another now."""


@dataclass(frozen=True)
class KnownWindow(Steps[FeatureSeal, Known]):
    """Steps of a window of features. `newest`: the newest cut, if the one that it is for is yet to be published.

    Then no writer opens it. So a row that an earlier sealer left holds only if the cells still have its sums; and the
    second look is taken once the cut is published.
    """

    start: int
    complete_at: int
    newest: int | None = None

    kind = ""
    made_of = ("cuts", "feature_seals", "pin_minutes", "ingest_starts")

    @property
    def name(self) -> Name:
        """Kind and start."""
        return self.kind, self.start

    @property
    def parameters(self) -> Mapping[str, int]:
        """Of its statements."""
        return {"start": self.start, "complete_at": self.complete_at}

    def read_row(self) -> FeatureSeal:
        if self.newest is not None and int(self.connection.one(NEWEST)[0]) != self.newest:
            raise Overtaken
        return read_seal(self.connection, self.kind, self.start)

    def is_sealed(self, row: FeatureSeal) -> bool:
        fits = row.was_sealed and not row.is_open and row.complete_at == self.complete_at
        return fits and (self.newest is None or self.still_has(row.sums))

    def publish(self, number: int, before: FeatureSeal, sums: Known, *, changed: bool) -> None:
        corrected = before.corrected or changed
        publish(
            self.connection,
            [FeatureSeal(self.kind, self.start, number, number, False, corrected, self.complete_at, sums)],
        )

    def is_unchanged(self, sums: Known) -> bool:
        return self.newest is not None or self.still_has(sums)

    def still_has(self, sums: Known) -> bool:
        """Whether what its rows are made of has these sums now."""
        return self.expected() == sums

    def reopen(self) -> None:
        open_windows(self.connection, [(self.kind, self.start)])

    def _sums(self, sql: str, **more: int) -> Known:
        *counts, check_sum = self.connection.one(sql, **self.parameters, **more)
        return Known(tuple(counts), check_sum)


class OfCells(KnownWindow):
    """A window whose rows are made of cells, with tops."""

    rows_of: str
    cells_of: str
    statements: tuple[str, ...]
    tops: Tops

    @property
    @abstractmethod
    def cells(self) -> Selection:
        """Cells that may not be superseded."""

    @property
    def ranked_from(self) -> int:
        """Rows of earlier times are corrections, which have no tops."""
        return self.start

    def insert(self, number: int) -> None:
        delete_superseded(self.connection, self.cells)
        for statement in self.statements:
            self.connection.execute(statement, {**self.parameters, "number": number})

    def inserted(self, number: int) -> Known:
        """Their sums. The tops are inserted now, as one look at the rows finds their sums and which ones are listed."""
        return self._ranked(number, inserts=True)

    def there(self, number: int) -> Known:
        return self._ranked(number, inserts=False)

    def _ranked(self, number: int, *, inserts: bool) -> Known:
        given = {**self.parameters, "number": number}
        rows = self.connection.rows(self.rows_of, **given, length=self.tops.length)
        ranked = [
            Highest(pins, [-events for events in highest])
            for start, *_, pins, highest in rows
            if start >= self.ranked_from
        ]
        least = self.tops.least(ranked)
        if ranked and inserts:
            self.tops.insert(self.connection, given, least)
        fit = self.tops.there(self.connection, given) == wanted(ranked, least)
        nothing = (0,) * (len(COUNTED) + 2)
        *counts, check_sum, pins = map(sum, zip(nothing, *(row[1:-1] for row in rows), strict=True))
        return Known(tuple(counts), check_sum % 2**64, pins, fit)

    def expected(self) -> Known:
        return self._sums(self.cells_of)

    def still_has(self, sums: Known) -> bool:
        return super().still_has(sums) and not has_superseded(self.connection, self.cells)


@dataclass(frozen=True)
class Bucket(OfCells):
    """The tiles and corrections of an arrival bucket. `hours_until`: of the moment when it began."""

    hours_until: int = 0

    kind = TILES
    statements = (known_rows.TILES, known_rows.CORRECTIONS)
    rows_of, cells_of = known_rows.BUCKET_ROWS, known_rows.BUCKET_CELLS
    tops = TILE_TOPS

    @property
    def cells(self) -> Selection:
        return in_bucket(self.start)

    @property
    def parameters(self) -> Mapping[str, int]:
        return {"start": self.start, "hours_until": self.hours_until}

    @property
    def ranked_from(self) -> int:
        return self.hours_until


@dataclass(frozen=True)
class CompleteHour(OfCells):
    """What arrived of an hour before it was complete. With other sums than before it opens the bases after it."""

    kind = HOURS
    statements = (known_rows.HOURS,)
    rows_of, cells_of = known_rows.HOUR_ROWS, known_rows.HOUR_CELLS
    tops = HOUR_TOPS

    @property
    def cells(self) -> Selection:
        return in_hours(self.start, self.start + HOUR)

    def publish(self, number: int, before: FeatureSeal, sums: Known, *, changed: bool) -> None:
        corrected = before.corrected or changed
        row = FeatureSeal(HOURS, self.start, number, number, False, corrected, self.complete_at, sums)
        opened = bases_with(self.connection, self.start) if before.sums != sums else []
        publish(self.connection, [row, *(replace(base, seal=number, is_open=True) for base in opened)])


@dataclass(frozen=True)
class Base(KnownWindow):
    """The sums of 7 and 30 days before a day. `start`: of that day."""

    kind = BASE
    made_of = ("cuts", "feature_seals", "pin_hours_by_pin", "pin_base")

    def insert(self, number: int) -> None:
        before = Base(self.connection, self.start - DAY, 0)
        row = before.read_row()
        incremental = row.was_sealed and not row.is_open and before.still_has(row.sums)
        sql = base_rows.FROM_DAY_BEFORE if incremental else base_rows.FROM_HOURS
        parameters = {**self.parameters, "number": number, "before": row.rows_seal}
        self.connection.execute(sql, parameters, settings=base_rows.SPILL)

    def inserted(self, number: int) -> Known:
        *counts, check_sum, pins = self.connection.one(base_rows.ROWS, **self.parameters, number=number)
        return Known(tuple(counts), check_sum, pins)

    def expected(self) -> Known:
        return self._sums(base_rows.HOURS)


def bases_with(connection: Connection, hour: int) -> list[FeatureSeal]:
    """The bases that were sealed and that an hour is part of."""
    where = f"kind = 'base' AND rows_seal > 0 AND {KEPT} AND window_start > toDateTime(%(hour)s, 'UTC')"
    end = "window_start <= toStartOfDay(toDateTime(%(hour)s, 'UTC')) + INTERVAL 30 DAY"
    return read_seals(connection, f"{where} AND {end}", hour=hour)
