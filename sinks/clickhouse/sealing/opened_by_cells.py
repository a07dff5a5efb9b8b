"""Which windows of features cells change: their buckets, and hours that were complete after they arrived (C28)."""

import numpy as np

from pintally.schemas.cells import PinMinuteRows
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, Cuts, read_cuts
from pintally.sinks.clickhouse.sealing.feature_seals import HOURS, TILES, Name
from pintally.sinks.clickhouse.sealing.reopen import HOUR


def known_windows(connection: Connection, rows: PinMinuteRows, newest: int) -> set[Name]:
    """The windows that cells which are written now belong to. `newest`: the newest cut, in seconds since 1970."""
    if not len(rows) or int(rows.arrived_at.min()) >= newest:  # the ordinary case: one pass over one column
        return set()
    return windows_of(rows, read_cuts(connection))


def windows_of(rows: PinMinuteRows, cuts: Cuts) -> set[Name]:
    """The windows of cells that are known at some cut. Pure."""
    early = rows.arrived_at < cuts.newest
    buckets = np.unique(rows.arrived_at[early] // BUCKET) * BUCKET
    pairs = np.unique(np.stack([rows.minute[early] // HOUR * HOUR, rows.arrived_at[early]]), axis=1)
    hours = {hour for hour, arrived in pairs.T.tolist() if arrived < (cuts.complete_at(hour) or 0)}
    return {(TILES, bucket) for bucket in buckets.tolist()} | {(HOURS, hour) for hour in hours}
