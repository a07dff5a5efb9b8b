"""The second check of sealers that ended before it: it finds rows that came just before a publication.

A sealer publishes one window after the other and checks each one again (`rollup`, step 6). So windows that were not
checked again are among the windows that were published last.
"""

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.again import known_window
from pintally.sinks.clickhouse.sealing.before_first import open_before_first
from pintally.sinks.clickhouse.sealing.cut_times import read_cuts
from pintally.sinks.clickhouse.sealing.feature_seals import FeatureSeal, Name, open_windows, read_seals
from pintally.sinks.clickhouse.sealing.reopen import DAY, reopen
from pintally.sinks.clickhouse.sealing.rollup import Window, is_unchanged
from pintally.sinks.clickhouse.sealing.rollup_rows import SUMMED

PUBLISHED_LAST = f"""
SELECT toUnixTimestamp(window_start), seal, {", ".join(SUMMED)} FROM sealed FINAL
WHERE resolution = 'hour' AND NOT is_open AND written_at >= (SELECT max(written_at) FROM sealed) - INTERVAL 10 MINUTE
"""
FEATURES_PUBLISHED_LAST = """
NOT is_open AND kind != 'base' AND written_at >= (SELECT max(written_at) FROM feature_seals) - INTERVAL 10 MINUTE
"""

_seen: set[tuple[object, ...]] = set()  # server, database, window and seal that this process looked at


def recheck(connection: Connection) -> None:
    """Open the last published hours whose roll-up is not the sum of their minutes. Each process checks each once."""
    where = connection.one("SELECT serverUUID(), currentDatabase()")
    for hour, seal, *sums in connection.rows(PUBLISHED_LAST):
        name = (*where, hour, seal)
        if name not in _seen and not is_unchanged(connection, Window("hour", hour), tuple(sums)):
            reopen(connection, [hour])
        _seen.add(name)


class Looked:
    """The windows of features of which this process took the second look, each with its seal."""

    def __init__(self, connection: Connection) -> None:
        self._where = connection.one("SELECT serverUUID(), currentDatabase()")

    def add(self, name: Name, seal: int) -> None:
        """Its cells were as they had been sealed, after the cut was published."""
        _seen.add((*self._where, name, seal))

    def first(self, cut: int) -> tuple[object, ...]:
        """The name of the look before the first cut; with age another one becomes the first, once a day."""
        return (*self._where, "before", cut // DAY)

    def __contains__(self, row: FeatureSeal) -> bool:
        return (*self._where, row.name, row.seal) in _seen


def recheck_known(connection: Connection, looked: Looked) -> None:
    """The same of the buckets and complete hours of published cuts. Bases are looked at in each pass (`again`)."""
    cuts = read_cuts(connection)
    if cuts.steps and (first := looked.first(cuts.steps[0][0])) not in _seen:
        open_before_first(connection, cuts)
        _seen.add(first)
    for row in read_seals(connection, FEATURES_PUBLISHED_LAST):
        window = None if row in looked else known_window(connection, cuts, row)
        if window and not window.still_has(row.sums):
            open_windows(connection, [row.name])
        elif window:
            looked.add(row.name, row.seal)
