"""What a reader of a cut must see, counted from cells, and what the tables of features give him. Pure, but for `read`.

Both give, for each pin, counts of the last hour, 24 hours, 7 and 30 days by action, and those of them that are trusted:
docs/decisions/0017 defines them.
"""

import re
from dataclasses import dataclass
from typing import Any

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTED, COUNTS

TEN, HOUR, DAY = 600, 3600, 86_400
WIDTH = len(COUNTED)
Vector = tuple[int, ...]  # 4 windows x counts
ZERO, NO_TIME = "toUInt64(0)", "toUInt32(0)"  # a union takes no column twice, under one name, as two types
NONE = ", ".join(ZERO for _ in COUNTED)
BASE_COUNTS = ", ".join(f"{name}{days}" for days in ("_7d", "_30d") for name in COUNTED)
# Rows by what they are, and of each table under which name.
ROWS = {
    "tiles": "pin_id, toUnixTimestamp(window_start), toUnixTimestamp(arrived_at), seal,"
    f" {COUNTS}, {NONE} FROM pin_tiles",
    "hours": f"pin_id, toUnixTimestamp(window_start), {NO_TIME}, seal, {COUNTS}, {NONE} FROM pin_hours_by_pin",
    "corrections": "pin_id, toUnixTimestamp(window_start), toUnixTimestamp(known_from), seal,"
    f" {COUNTS}, {NONE} FROM pin_corrections",
    "base": f"pin_id, toUnixTimestamp(day), {NO_TIME}, seal, {BASE_COUNTS} FROM pin_base",
    "cells": "pin_id, toUnixTimestamp(minute), toUnixTimestamp(arrived_at), action, events, trusted,"
    f" {ZERO}, {ZERO}, {ZERO}, {ZERO}, {NONE} FROM pin_minutes FINAL WHERE events > 0",
    "seals": "seal, toUnixTimestamp(window_start), toUInt32(kind), rows_seal, is_open, corrected,"
    f" {ZERO}, {ZERO}, {ZERO}, {ZERO}, {NONE} FROM feature_seals FINAL",
    "cuts": f"{ZERO}, toUnixTimestamp(cut), toUnixTimestamp(argMin(c.hours_until, (published_at, seal))), {ZERO},"
    f" {NONE}, {NONE} FROM cuts AS c GROUP BY cut",
}
NAMES = {sql.split(" FROM ")[-1].split()[0]: name for name, sql in ROWS.items()}
WRITES = re.compile(r"\s*(?:INSERT INTO|DELETE FROM|ALTER TABLE|TRUNCATE TABLE) `?(\w+)")
READS = ("SELECT", "WITH")
TILES, HOURS, BASE = 1, 2, 3
Row = tuple[Any, ...]


@dataclass
class Tables:
    """All rows, as they are at one moment."""

    rows: dict[str, list[Row]]  # by what they are, without that name

    @property
    def cuts(self) -> dict[int, int]:
        """Cut -> hours_until."""
        return {row[1]: row[2] for row in self.rows["cuts"]}

    @property
    def newest(self) -> int:
        """The newest cut; 0 if there is none."""
        return max(self.cuts, default=0)

    @property
    def open_windows(self) -> set[tuple[int, int]]:
        """Kind and start of open windows."""
        return {(kind, start) for _, start, kind, _, is_open, *_ in self.rows["seals"] if is_open}

    @property
    def corrected(self) -> set[tuple[int, int]]:
        """Kind and start of corrected windows."""
        return {(kind, start) for _, start, kind, _, _, corrected, *_ in self.rows["seals"] if corrected}


class Reader:
    """Reads again what was written to since it looked last."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._changed = set(ROWS)

    def note(self, sql: str) -> None:
        """A statement was executed."""
        if written := WRITES.match(sql):
            self._changed |= {NAMES[written[1]]} if written[1] in NAMES else set()
        elif not sql.lstrip().startswith(READS):
            self._changed |= ROWS.keys()

    def look(self, connection: Connection) -> Tables:
        """Everything, in one statement."""
        if self._changed:
            read: dict[str, list[Row]] = {name: [] for name in self._changed}
            for name, *row in connection.rows(" UNION ALL ".join(f"SELECT '{name}', {ROWS[name]}" for name in read)):
                read[name].append(tuple(row))
            self._rows |= read
            self._changed.clear()
        return Tables(dict(self._rows))


def read(connection: Connection) -> Tables:
    """Everything, as it is now."""
    return Reader().look(connection)


def add(pins: dict[int, list[int]], pin: int, window: int, counts: Row) -> None:
    """Add counts to one of the four windows."""
    vector = pins.setdefault(pin, [0] * (4 * WIDTH))
    for place in range(WIDTH):
        vector[WIDTH * window + place] += counts[place]


def expected(tables: Tables, cut: int) -> dict[int, Vector]:
    """From the cells that arrived before a cut."""
    pins: dict[int, list[int]] = {}
    day = tables.cuts[cut] // DAY * DAY
    for pin, minute, arrived, action, events, trusted, *_ in tables.rows["cells"]:
        if arrived >= cut:
            continue
        counts = tuple(number * (action == each) for number in (events, trusted) for each in (1, 2, 3))
        begins = (minute // TEN * TEN >= cut - HOUR, minute // HOUR * HOUR >= cut // HOUR * HOUR - DAY,
                  minute >= day - 7 * DAY, minute >= day - 30 * DAY)  # fmt: skip
        for window, inside in enumerate(begins):
            if inside:
                add(pins, pin, window, counts)
    return _vectors(pins)


def seen(tables: Tables, cut: int, *, by_seal: bool = True, by_known_from: bool = True) -> dict[int, Vector]:
    """From the tables of features."""
    pins: dict[int, list[int]] = {}
    until = tables.cuts[cut]
    day, last_day = until // DAY * DAY, cut // HOUR * HOUR - DAY
    seals = {(kind, start): rows_seal for _, start, kind, rows_seal, *_ in tables.rows["seals"]}

    def counts_of(kind: int, start: int, seal: int) -> bool:
        return not by_seal or seals.get((kind, start)) == seal

    def events(pin: int, start: int, counts: Row, *, of_base: bool = True) -> None:
        for window, first in enumerate((cut - HOUR, last_day, day - 7 * DAY, day - 30 * DAY)):
            if start >= (first if of_base or window < 2 else day):
                add(pins, pin, window, counts)

    for pin, start, arrived, seal, *counts in tables.rows["tiles"]:
        if arrived < cut and start >= until and counts_of(TILES, arrived, seal):
            events(pin, start, tuple(counts))
    for pin, start, _, seal, *counts in tables.rows["hours"]:
        if start < until and counts_of(HOURS, start, seal):
            events(pin, start, tuple(counts), of_base=False)
    for pin, start, known, seal, *counts in tables.rows["corrections"]:
        if start < until and (known <= cut or not by_known_from) and counts_of(TILES, known - TEN, seal):
            events(pin, start, tuple(counts))
    for pin, start, _, seal, *counts in tables.rows["base"]:
        if start == day and counts_of(BASE, day, seal):
            add(pins, pin, 2, tuple(counts))
            add(pins, pin, 3, tuple(counts[WIDTH:]))
    return _vectors(pins)


def _vectors(pins: dict[int, list[int]]) -> dict[int, Vector]:
    return {pin: tuple(vector) for pin, vector in pins.items() if any(vector)}
