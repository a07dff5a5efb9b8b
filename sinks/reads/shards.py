"""Reading of several servers that share the pins (C33): one pin of its own server, and all of them at one cut."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

import numpy as np

from pintally.schemas.shards import Place, shard_of
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.shards import refuse_other_place
from pintally.sinks.clickhouse.users import BEHIND_VIEWS
from pintally.sinks.reads.cuts import NOTHING_KNOWN, Cut, read_cut


@contextmanager
def reading(servers: Sequence[ClickHouseAddress], only: int | None = None) -> Iterator[list[Connection]]:
    """A connection to each server, or `only` to the one of that number, for a user who may only read views.

    Raises SinkUnavailable, SinkError, and Refusal if one is another shard than the settings say.
    """
    with ExitStack() as stack:
        numbers = range(len(servers)) if only is None else (only,)
        connections = [stack.enter_context(Connection(servers[number], only_reads=True)) for number in numbers]
        for number, connection in zip(numbers, connections, strict=True):
            refuse_hidden_rows(connection, BEHIND_VIEWS)
            if len(servers) > 1:
                refuse_other_place(connection, Place(number, len(servers)))
        yield connections


@contextmanager
def first_shard(servers: Sequence[ClickHouseAddress]) -> Iterator[Connection]:
    """A connection that only reads to shard 0, which has the dead letters.

    Raises SinkUnavailable, SinkError, and Refusal if it is another shard.
    """
    with Connection(servers[0], only_reads=True) as connection:
        if len(servers) > 1:
            refuse_other_place(connection, Place(0, len(servers)))
        yield connection


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
        cut if cut.moment == least else cut_at(connection, least)
        for connection, cut in zip(connections, newest, strict=True)
    ]
    return found if all(cut.published_at for cut in found) else [NOTHING_KNOWN] * len(found)


AT = """
SELECT toUnixTimestamp(cut), toUnixTimestamp(hours_until), published_at FROM cuts
WHERE cut = toDateTime(%(cut)s, 'UTC') ORDER BY published_at, seal LIMIT 1
"""


def cut_at(connection: Connection, moment: int) -> Cut:
    """The cut of that moment (seconds since 1970); NOTHING_KNOWN if the server has not published it."""
    rows = connection.rows(AT, cut=moment)
    return Cut(*rows[0]) if rows else NOTHING_KNOWN
