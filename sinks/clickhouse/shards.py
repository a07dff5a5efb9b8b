"""Which shard a server is: written once by `pintally migrate`, and looked at whenever a worker connects (C33)."""

import json
from collections.abc import Iterable
from functools import lru_cache

from pintally.schemas.errors import Refusal
from pintally.schemas.rows import StartRow
from pintally.schemas.shards import Place
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.engines import layout_of
from pintally.sinks.clickhouse.scripts import statements

TABLE = """
CREATE TABLE IF NOT EXISTS shard_numbers{on_cluster}
(
    shard UInt16 COMMENT 'Number of this shard, from 0',
    shards UInt16 COMMENT 'How many shards there are',
    written_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC') COMMENT 'When ClickHouse took this row; the first one holds'
)
ENGINE = {family}MergeTree
ORDER BY written_at
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Which shard this server is; made and written by pintally migrate where there are several'
"""
TOLD = "SELECT shard, shards FROM shard_numbers ORDER BY written_at LIMIT 1"


def take_place(address: ClickHouseAddress, place: Place, timeout_seconds: float = 60) -> None:
    """Write down that this server is that shard, if it does not know yet. Raises Refusal if it is another."""
    with Connection(address, timeout_seconds) as connection:
        for statement in statements(TABLE, layout=layout_of(connection)):
            connection.execute(statement)
        sync(connection, "shard_numbers")
        if not connection.rows(TOLD):
            connection.insert("shard_numbers", ("shard", "shards"), [(place.number, place.shards)])
    with Connection(address, timeout_seconds) as connection:
        refuse_other_place(connection, place)


def refuse_other_place(connection: Connection, place: Place) -> None:
    """Raise Refusal if the server is another shard than the settings say: pins would be counted on two."""
    sync(connection, "shard_numbers")
    told = connection.rows(TOLD)
    if not told:
        raise Refusal(
            f"ClickHouse at {connection.address} does not know which shard it is, the settings say {place}",
            "Run `pintally migrate`.",
        )
    if Place(*told[0]) != place:
        raise Refusal(
            f"ClickHouse at {connection.address} is {Place(*told[0])}, the settings say {place}",
            "Set PINTALLY_SHARDS, PINTALLY_CLICKHOUSE_HOST and PINTALLY_CLICKHOUSE_OTHER_SHARDS to the servers in the "
            "order in which counting began.",
        )


def refuse_other_number(connection: Connection, starts: Iterable[StartRow], shards: int) -> None:
    """Raise Refusal if the rules in force are of another number of shards than are asked."""
    counted = {shards_in(row.rules) for row in {row.source: row for row in starts}.values()}
    if counted - {shards}:
        number = max(counted - {shards})
        raise Refusal(
            f"the pins in ClickHouse at {connection.address} are counted with PINTALLY_SHARDS={number}, "
            f"the settings say {shards}",
            f"Set PINTALLY_SHARDS={number}, and name the servers of all shards in the order in which counting began.",
        )


@lru_cache
def shards_in(rules: str) -> int:
    """The number of shards in the rules of a start row; one where they do not say it, or not in a way known here."""
    try:
        fields = json.loads(rules)
    except ValueError:
        return 1
    number = fields.get("shards", 1) if isinstance(fields, dict) else 1
    return number if type(number) is int else 1
