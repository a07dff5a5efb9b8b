"""Two servers of ClickHouse that share the pins, and what tests ask of each."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clickhouse_driver import Client

from pintally.schemas.shards import Place
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.progress import read_progress
from pintally.streams.settings import Settings
from pintally.tools.engines import Engines
from tests.e2e.running import pintally
from tests.support.engines import drop_topics


@contextmanager
def over_shards(engines: Engines, folder: Path, **rules: Any) -> Iterator[Settings]:
    """Topics, group and databases of their own. Producers stamp records, so that hours are sealed in seconds."""
    name = f"t{uuid.uuid4().hex[:12]}"
    made = Settings.of(
        folder / "none", **engines.addresses.settings(), clickhouse_database=name, topic_prefix=f"{name}.",
        kafka_group_id=name, partitions=2, session_timeout_seconds=10, flush_interval_seconds=0.2,
        topic_timestamps="CreateTime", seal_seconds=2.0, slice_records=10_000, **rules,
    )  # fmt: skip
    done = pintally(made, "migrate")
    assert done.returncode == 0, done.stderr
    yield made
    drop_topics(engines.addresses, made.topics.topic_prefix)


def ask(address: ClickHouseAddress, statement: str) -> list[tuple[Any, ...]]:
    with Client(address.host, address.port) as client:
        answer: list[tuple[Any, ...]] = client.execute(statement.format(database=address.database))
        return answer


def recorded(settings: Settings) -> list[int]:
    """Offsets that the ledger of each shard has recorded."""
    found, shards = [], settings.clickhouse.shards
    for number, address in enumerate(shards):
        sink = ClickHouseSink(address, only_reads=True, place=Place(number, len(shards)))
        sources = read_progress(settings.kafka, settings.topics, sink)
        found.append(sum(source.position or 0 for source in sources))
    return found


def log_end(settings: Settings) -> int:
    sink = ClickHouseSink(
        settings.clickhouse.shards[0], only_reads=True, place=Place(0, len(settings.clickhouse.shards))
    )
    return sum(source.log_end for source in read_progress(settings.kafka, settings.topics, sink))


def said(settings: Settings, *command: str) -> Any:
    done = pintally(settings, *command, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def alone(settings: Settings, number: int) -> Settings:
    """Settings of one shard's server."""
    shard = settings.clickhouse.shards[number]
    there: Mapping[str, Any] = {
        "clickhouse_port": shard.port, "clickhouse_http_port": shard.http_port, "clickhouse_database": shard.database
    }  # fmt: skip
    return settings.changed(**there, clickhouse_other_shards="", shards=1)
