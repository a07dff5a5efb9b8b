"""Reading of several servers that share the pins (C33): one pin of its own server, and all of them at one cut."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

import numpy as np

from pintally.schemas.shards import shard_of
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.users import BEHIND_VIEWS
from pintally.sinks.reads.cuts import NOTHING_KNOWN, Cut, read_cut


@contextmanager
def reading(servers: Sequence[ClickHouseAddress]) -> Iterator[list[Connection]]:
    """A connection to each server, for a user who may only read views. Raises SinkUnavailable, SinkError."""
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server, only_reads=True)) for server in servers]
        for connection in connections:
            refuse_hidden_rows(connection, BEHIND_VIEWS)
        yield connections


def number_of(pin: int, shards: int) -> int:
    """The number of the shard of one pin."""
    return int(shard_of(np.array([pin], np.uint64), shards)[0])


def read_common_cut(connections: Sequence[Connection], as_of: datetime | None = None) -> list[Cut]:
    """The highest cut that all servers had published by `as_of`, by default the newest: on each as it was published
    there. NOTHING_KNOWN of all if one has none.

    Each publishes its cuts in their order, so the lowest of their highest ones is published by all.
    """
    newest = [read_cut(connection, as_of) for connection in connections]
    least = min(cut.moment for cut in newest)
    found = [
        cut if cut.moment == least else _at(connection, least)
        for connection, cut in zip(connections, newest, strict=True)
    ]
    return found if all(cut.published_at for cut in found) else [NOTHING_KNOWN] * len(found)


AT = """
SELECT toUnixTimestamp(cut), toUnixTimestamp(hours_until), published_at FROM cuts
WHERE cut = toDateTime(%(cut)s, 'UTC') ORDER BY published_at, seal LIMIT 1
"""


def _at(connection: Connection, moment: int) -> Cut:
    """The cut of that moment."""
    rows = connection.rows(AT, cut=moment)
    return Cut(*rows[0]) if rows else NOTHING_KNOWN
