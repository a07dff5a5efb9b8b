"""Seals what is known at closed cuts, and publishes the cuts (C26 to C28, docs/decisions/0017-features-as-of-a-cut.md).

Idempotent, and safe to run twice at once. The worker decides which cuts are closed. Times in seconds since 1970.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.sealing import known_rows
from pintally.sinks.clickhouse.sealing.again import seal_again
from pintally.sinks.clickhouse.sealing.batch import SealBatch
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, Batch, batches, lateness_of, read_cuts
from pintally.sinks.clickhouse.sealing.feature_seals import Name
from pintally.sinks.clickhouse.sealing.known_windows import Overtaken
from pintally.sinks.clickhouse.sealing.recheck import Looked, recheck_known
from pintally.sinks.clickhouse.sealing.reopen import DAY
from pintally.sinks.clickhouse.sealing.session import sealing_connection

FILLED_A_PASS = 12  # cuts whose bucket has cells: hours are sealed between two passes
AHEAD = 7 * DAY  # how far a pass looks for buckets with cells


@dataclass(frozen=True, slots=True)
class CutsSealed:
    """What one call of `seal_cuts` did."""

    newest: int  # the newest published cut; 0 if there is none
    cuts: tuple[int, ...] = ()  # published now
    again: tuple[Name, ...] = ()  # windows (kind, start) that were open and are sealed again
    corrected: tuple[Name, ...] = ()  # those of `again` with other sums than before
    unsettled: tuple[Name, ...] = ()  # windows whose cells kept changing; the next call tries again
    more: bool = False  # whether there is more to do at once


def seal_cuts(
    address: ClickHouseAddress, closed_until: int, lateness_seconds: int, timeout_seconds: float = 300
) -> CutsSealed:
    """Seal windows that are open, and publish the cuts up to `closed_until` in order, at most some in one call.

    `lateness_seconds` is the greatest lateness of all rules. Raises SinkUnavailable or SinkError; run it again then.
    """
    with sealing_connection(address, timeout_seconds) as connection:
        refuse_hidden_rows(connection)
        looked = Looked(connection)
        recheck_known(connection, looked)
        again = seal_again(connection)
        published: list[int] = []
        unsettled = list(again.unsettled)
        opened = False
        for batch in list(_due(connection, closed_until, lateness_of(lateness_seconds))):
            step = SealBatch(connection, batch, looked)
            try:
                left = step.run()
            except Overtaken:
                break  # another sealer goes on from here
            unsettled += left
            opened |= bool(step.opened)
            if left:
                break
            published += [each.cut for each in batch.cuts]
        newest = read_cuts(connection).newest
        left_over = again.more or opened or bool(published and newest + BUCKET <= closed_until)
        return CutsSealed(
            newest,
            tuple(published),
            again.sealed,
            again.changed,
            tuple(unsettled),
            more=left_over and not unsettled,
        )


def _due(connection: Connection, closed_until: int, lateness: int) -> Iterator[Batch]:
    """What one pass seals, in order."""
    cuts = read_cuts(connection)
    first = cuts.newest + BUCKET if cuts.newest else _first_cut(connection)
    if first is None or first > closed_until:
        return
    until = min(closed_until // BUCKET * BUCKET, first + AHEAD)
    filled = {row[0] for row in connection.rows(known_rows.FILLED_BUCKETS, first=first - BUCKET, end=until)}
    left = FILLED_A_PASS
    for batch in batches(cuts, first, until, lateness, filled):
        yield batch
        left -= batch.has_cells
        if not left:
            return


def _first_cut(connection: Connection) -> int | None:
    """The cut after the first arrival bucket of all; None where nothing is counted."""
    rows, first = connection.one(known_rows.FIRST_BUCKET)
    return int(first) + BUCKET if rows else None
