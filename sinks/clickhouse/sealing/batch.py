"""Seals what readers of one or several cuts need, publishes these cuts, and looks again (C27).

1. Hours that become complete, then the base of a new day, then the buckets. No reader of an earlier cut takes them.
2. The cuts, in one statement that does nothing if another sealer published one of them meanwhile.
3. Second look: it finds cells that came before a writer could see the cut. A writer after it opens what it changes.
"""

from collections.abc import Collection, Mapping, Sequence

from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import known_rows
from pintally.sinks.clickhouse.sealing.before_first import open_before_first
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, NEWEST, Batch
from pintally.sinks.clickhouse.sealing.feature_seals import (
    HOURS,
    TILES,
    FeatureSeal,
    Name,
    open_windows,
    publish,
    read_seal,
    read_seals,
)
from pintally.sinks.clickhouse.sealing.known_windows import Base, Bucket, CompleteHour, KnownWindow, Overtaken
from pintally.sinks.clickhouse.sealing.recheck import Looked
from pintally.sinks.clickhouse.sealing.reopen import HOUR
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from pintally.sinks.clickhouse.sealing.steps import seal_window

# One statement, so that a sealer that slept cannot publish what another one decided otherwise meanwhile. Each cut has a
# moment of its own, after that of the cut before it: as of that moment it is the newest. What a wrong clock dated ahead
# moves no other.
PUBLISH = f"""
INSERT INTO cuts (cut, hours_until, seal, published_at)
WITH assumeNotNull((SELECT max(published_at) FROM cuts WHERE published_at < now64(3) + INTERVAL 1 MINUTE)) AS last
SELECT toDateTime(c.1, 'UTC'), toDateTime(c.2, 'UTC'), c.3,
    addMilliseconds(greatest(last, subtractMilliseconds(now64(3, 'UTC'), %(several)s)), c.4)
FROM (SELECT arrayJoin(%(cuts)s) AS c)
WHERE ({NEWEST}) = %(newest)s
"""
IS_OURS = "SELECT count() FROM cuts WHERE cut = toDateTime(%(cut)s, 'UTC') AND seal = %(seal)s"


class SealBatch:
    """One batch of cuts on one connection."""

    def __init__(self, connection: Connection, batch: Batch, looked: Looked) -> None:
        self.connection = connection
        self.batch = batch
        self.looked = looked
        self.after = batch.before.after(batch)
        self.sealed: list[KnownWindow] = []  # with cells
        self.empty: list[Name] = []
        self.opened: list[Name] = []  # by the second look
        self.seals: dict[int, int] = {}  # of buckets

    def run(self) -> list[Name]:
        """Returns the windows whose cells kept changing; then no cut is published. Raises Overtaken."""
        if unsettled := self._seal():
            return unsettled
        self._publish()
        self._look_again()
        return []

    def _seal(self) -> list[Name]:
        filled, empty = self._hours()
        unsettled = self._seal_each([self._hour(start) for start in filled])
        unsettled += self._seal_empty(HOURS, empty) if not unsettled else []
        if not unsettled and self.batch.needs_base:
            day = self.batch.day
            unsettled = self._seal_each([Base(self.connection, day, self.batch.cuts[0].cut, self.batch.before.newest)])
        if unsettled:
            return unsettled
        if self.batch.has_cells:
            return self._seal_each([self._bucket(start) for start in self.batch.buckets])
        return self._seal_empty(TILES, self.batch.buckets)

    def _hours(self) -> tuple[list[int], list[int]]:
        """The hours that become complete: with cells, and without. At the first cut only those with cells matter."""
        first, end = self.batch.complete
        filled = self._filled_hours(first, end) if first < end else set[int]()
        return sorted(filled), [hour for hour in range(first, end, HOUR) if hour not in filled] if first else []

    def _hour(self, start: int) -> CompleteHour:
        return CompleteHour(self.connection, start, self._complete_at(HOURS, start), self.batch.before.newest)

    def _bucket(self, start: int) -> Bucket:
        hours_until = self.after.hours_until_at(start)
        return Bucket(self.connection, start, start + BUCKET, self.batch.before.newest, hours_until)

    def _complete_at(self, kind: str, start: int) -> int:
        if kind == TILES:
            return start + BUCKET
        complete_at = self.after.complete_at(start)
        assert complete_at is not None, "the hours of a batch become complete in it"
        return complete_at

    def _seal_each(self, windows: Sequence[KnownWindow]) -> list[Name]:
        """Seal windows one by one. Returns the first whose cells kept changing."""
        for window in windows:
            result = seal_window(self.connection, window)
            if not result.seal:
                return [window.name]
            self.sealed.append(window)
            self.seals[window.start] = result.seal
        return []

    def _seal_empty(self, kind: str, starts: Sequence[int]) -> list[Name]:
        """Seal windows without cells in one insert, by the same steps. Returns those that have cells now."""
        if not starts:
            return []
        number = allocate_seal_id(self.connection)
        sync(self.connection, *KnownWindow.made_of)
        self._refuse_overtaken()
        there = self._there(kind, starts)
        if filled := self._filled(kind, starts):
            return [(kind, start) for start in sorted(filled)]
        rows = []
        for start in starts:
            before = there.get(start, FeatureSeal(kind, start))
            corrected = before.corrected or (before.was_sealed and before.sums != FeatureSeal(kind, start).sums)
            rows.append(FeatureSeal(kind, start, number, number, False, corrected, self._complete_at(kind, start)))
        publish(self.connection, rows)
        self.empty += [row.name for row in rows]
        if kind == TILES:
            self.seals |= dict.fromkeys(starts, number)
        return []

    def _there(self, kind: str, starts: Sequence[int]) -> Mapping[int, FeatureSeal]:
        """What an earlier sealer left of them."""
        where = "kind = %(kind)s AND window_start IN %(starts)s"
        return {row.start: row for row in read_seals(self.connection, where, kind=kind, starts=tuple(starts))}

    def _refuse_overtaken(self) -> None:
        if int(self.connection.one(NEWEST)[0]) != self.batch.before.newest:
            raise Overtaken

    def _publish(self) -> None:
        """Step 2."""
        sync(self.connection, "cuts")
        cuts = [(each.cut, each.hours_until, self.seals[each.bucket], n) for n, each in enumerate(self.batch.cuts, 1)]
        given = {"cuts": cuts, "several": len(cuts), "newest": self.batch.before.newest}
        self.connection.execute(PUBLISH, given)
        last, _, seal, _ = cuts[-1]
        if not self.connection.one(IS_OURS, cut=last, seal=seal)[0]:
            raise Overtaken

    def _look_again(self) -> None:
        """Step 3."""
        sync(self.connection, *KnownWindow.made_of)
        self.opened = [window.name for window in self.sealed if not self._is_unchanged(window)]
        for kind in (TILES, HOURS):
            starts = [start for of, start in self.empty if of == kind]
            self.opened += [(kind, start) for start in (self._filled(kind, starts) if starts else ())]
        open_windows(self.connection, self.opened)
        if not self.batch.before.newest:
            self.opened += open_before_first(self.connection, self.after)

    def _is_unchanged(self, window: KnownWindow) -> bool:
        row = read_seal(self.connection, *window.name)
        unchanged = window.still_has(row.sums)
        if unchanged:
            self.looked.add(row.name, row.seal)
        return unchanged

    def _filled(self, kind: str, starts: Sequence[int]) -> Collection[int]:
        """Those of consecutive windows that have cells now."""
        found = self._filled_buckets() if kind == TILES else self._filled_hours(starts[0], starts[-1] + HOUR)
        return found & set(starts)

    def _filled_buckets(self) -> set[int]:
        buckets = self.batch.buckets
        rows = self.connection.rows(known_rows.FILLED_BUCKETS, first=buckets[0], end=buckets[-1] + BUCKET)
        return {row[0] for row in rows}

    def _filled_hours(self, first: int, end: int) -> set[int]:
        last = self.batch.cuts[-1].cut
        return {row[0] for row in self.connection.rows(known_rows.FILLED_HOURS, first=first, end=end, complete_at=last)}
