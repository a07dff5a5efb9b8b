"""What schedules of cuts must find: each protection of sealing cuts, taken away.

`python -m tests.sinks.cuts_controls --seeds 50` prints the first seed that finds each.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing import batch, cuts, feature_seals, known_rows, known_windows, recheck
from pintally.sinks.clickhouse.sealing.batch import SealBatch
from pintally.sinks.clickhouse.sealing.cut_times import NEWEST
from pintally.sinks.clickhouse.sealing.feature_seals import FeatureSeal, Known, open_windows
from pintally.sinks.clickhouse.sealing.known_windows import Bucket, CompleteHour, KnownWindow, OfCells
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id
from tests.sinks.cuts_schedule import Schedule, first_failure, without_fsync
from tests.sinks.known_log import TEN


class WithoutSeals(Schedule):
    """A reader takes all rows, whatever their seals."""

    by_seal = False


class WithoutKnownFrom(Schedule):
    """A reader takes all corrections, whenever they came."""

    by_known_from = False


class WithoutReplays(Schedule):
    """Cuts do not wait for replay topics."""

    def _closed(self) -> int:
        regular = (feed.passed(self.logs.now) for feed in self.logs.listed if not feed.is_replay)
        return min([self.logs.now, *regular]) // TEN * TEN


def publish_late(connection: Connection, rows: list[FeatureSeal]) -> None:
    """`publish` with a number that is taken only now, after the cells were read."""
    number = allocate_seal_id(connection)
    feature_seals.publish(connection, [replace(row, seal=number) for row in rows])


def run_publishing_first(self: SealBatch) -> list[Any]:
    """`SealBatch.run` with the cuts published before what their readers need."""
    self.seals = dict.fromkeys(self.batch.buckets, allocate_seal_id(self.connection))
    self._publish()
    later = replace(self.batch, before=replace(self.batch.before, newest=self.batch.cuts[-1].cut))
    then = SealBatch(self.connection, later, self.looked)
    left = then._seal()
    then._look_again()
    return left


def expected_for_inserted(self: OfCells, _number: int) -> Known:
    """`OfCells.inserted` without a look at the rows."""
    return self.expected()


def publish_and_open_hours(self: Bucket, number: int, before: FeatureSeal, sums: Known, *, changed: bool) -> None:
    """A bucket that has what came late written into the hours it is of."""
    KnownWindow.publish(self, number, before, sums, changed=changed)
    late = self.connection.rows(
        f"SELECT DISTINCT toUnixTimestamp(hour) FROM pin_minutes WHERE {known_rows.ARRIVED} AND"
        f" {known_rows.IS_CORRECTION}",
        **self.parameters,
    )
    open_windows(self.connection, [("hours", hour) for (hour,) in late])


ALL_OF_HOUR = (known_rows.BEFORE, known_rows.OF_HOUR)
NO_CORRECTION = (known_rows.ARRIVED, f"{known_rows.ARRIVED} AND NOT {known_rows.IS_CORRECTION}")
Patches = list[tuple[Any, str, Any]]
CONTROLS: dict[str, tuple[type[Schedule], Patches]] = {
    "no seal filter": (WithoutSeals, []),
    "known_from left out": (WithoutKnownFrom, []),
    "replay sources forgotten": (WithoutReplays, []),
    "number taken after the cells are read": (Schedule, [(known_windows, "publish", publish_late)]),
    "no second look": (
        Schedule,
        [
            (SealBatch, "_look_again", lambda *_: None),
            (cuts, "recheck_known", lambda *_: None),
            (KnownWindow, "is_unchanged", lambda *_: True),
            (recheck, "open_before_first", lambda *_: []),
        ],
    ),
    "sums unchecked": (Schedule, [(OfCells, "inserted", expected_for_inserted)]),
    "cut published before its bucket": (Schedule, [(SealBatch, "run", run_publishing_first)]),
    "correction written into the hour": (
        Schedule,
        [
            (CompleteHour, "statements", (known_rows.HOURS.replace(*ALL_OF_HOUR),)),
            (CompleteHour, "cells_of", known_rows.HOUR_CELLS.replace(*ALL_OF_HOUR)),
            (Bucket, "statements", (known_rows.TILES,)),
            (Bucket, "cells_of", known_rows.BUCKET_CELLS.replace(*NO_CORRECTION)),
            (Bucket, "publish", publish_and_open_hours),
        ],
    ),
    "rows_seal not kept": (
        Schedule,
        [
            (feature_seals, "OPEN", feature_seals.OPEN.replace("s.rows_seal", "0")),
            (feature_seals, "OPEN_FROM", feature_seals.OPEN_FROM.replace("%(number)s, rows_seal", "%(number)s, 0")),
        ],
    ),
    "a slow sealer publishes its cut all the same": (
        Schedule,
        [(batch, "PUBLISH", batch.PUBLISH.replace(f"({NEWEST}) = %(newest)s", "1"))],
    ),
}


@contextmanager
def without(name: str) -> Iterator[type[Schedule]]:
    """The schedule of a control, with its protection taken away."""
    of, patches = CONTROLS[name]
    with ExitStack() as stack:
        for place, attribute, ours in patches:
            stack.enter_context(patch.object(place, attribute, ours))
        yield of


def main() -> int:
    from pintally.streams.settings import load_settings

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--control", choices=CONTROLS, action="append")
    asked = parser.parse_args()
    address = load_settings().clickhouse.model_copy(update={"database": f"cuts_{uuid4().hex[:8]}"})
    migrate(address)
    without_fsync(address)
    missed = []
    try:
        for name in asked.control or CONTROLS:
            with without(name) as of:
                seed = first_failure(range(asked.start, asked.start + asked.seeds), address, of)
            print(f"{name}: {'found by no seed' if seed is None else f'found by seed {seed}'}", flush=True)
            missed += [name] if seed is None else []
    finally:
        with Connection(address, 30, database="") as connection:
            connection.execute(f"DROP DATABASE `{address.database}`")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
