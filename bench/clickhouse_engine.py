"""ClickHouse as its own consumer: a Kafka table, a materialised view, a SummingMergeTree. The worker is the server."""

import os
import time
import uuid
from dataclasses import dataclass

from bench.cells import compare
from bench.clickhouse import Clickhouse
from bench.drain import measured, wait, watch_landing
from bench.ground import Ground
from bench.measured import Measured, Watch, forget_peak, peak_bytes

LOOK_SECONDS = 0.05

# Settings as the documentation has them for throughput; what is not named is the default.
STATEMENTS = """
CREATE TABLE {name}.cells (pin UInt64, minute DateTime('UTC'), events UInt64)
ENGINE = SummingMergeTree ORDER BY (minute, pin);

CREATE TABLE {name}.events (pin_id String, occurred_at Int64) ENGINE = Kafka
SETTINGS kafka_broker_list = '{kafka}', kafka_topic_list = '{topic}', kafka_group_name = '{name}',
    kafka_format = 'JSONEachRow', kafka_num_consumers = {consumers}, kafka_thread_per_consumer = {own_threads},
    kafka_flush_interval_ms = 1000, input_format_skip_unknown_fields = 1;

CREATE MATERIALIZED VIEW {name}.count TO {name}.cells AS
SELECT toUInt64(pin_id) AS pin, toStartOfMinute(fromUnixTimestamp64Milli(occurred_at, 'UTC')) AS minute,
    count() AS events
FROM {name}.events GROUP BY pin, minute
"""


@dataclass(frozen=True, slots=True)
class ClickhouseEngine:
    """With so many consumers."""

    name: str
    title: str
    crash: str
    consumers: int = 1

    def missing(self) -> str | None:
        """Why it cannot run on this machine: known only with the server, see `drain`."""
        return None if not os.environ.get("PINTALLY_CLICKHOUSE_HOST") else "the server's CPU is not ours to look at"

    def drain(self, ground: Ground, run: int) -> Measured:
        """One run. Clocks start at the last look at which nothing had been read. Raises PeerFailed."""
        assert ground.engines.clickhouse_pid
        server = ground.engines.clickhouse_pid
        log, name = ground.log(None), f"{ground.mark}_{uuid.uuid4().hex[:8]}"
        clickhouse = Clickhouse(ground.engines.settings, "default")
        clickhouse.run(f"CREATE DATABASE {name}")
        try:
            watch = Watch((server,), ground.engines.kafka_pid)
            load = os.getloadavg()[0]
            forget_peak(server)
            own_threads = int(self.consumers > 1)
            values = {
                "kafka": ground.engines.settings.kafka.bootstrap_servers,
                "topic": log.topic,
                "consumers": self.consumers,
            }
            statements = STATEMENTS.format(name=name, own_threads=own_threads, **values)
            for statement in statements.split(";"):
                clickhouse.run(statement)
            read = f"SELECT sum(num_messages_read) FROM system.kafka_consumers WHERE database = '{name}'"
            begin = watch.now()

            def has_begun() -> bool:
                nonlocal begin
                now = watch.now()
                if clickhouse.number(read):
                    return True  # what it read since the look before is inside
                begin = now
                return False

            wait(has_begun, LOOK_SECONDS)
            # Every look costs the server CPU: none while it must still be far from the end.
            wait(lambda: clickhouse.number(read) >= log.events, 4 * LOOK_SECONDS)
            end, landed = watch_landing(
                watch, lambda: clickhouse.number(f"SELECT sum(events) FROM {name}.cells"), log.events
            )
            peak = peak_bytes([server])
            grouped = f"SELECT pin, minute, sum(events) FROM {name}.cells GROUP BY pin, minute"
            wrong = compare(clickhouse.cells(grouped), log.cells).wrong
            return measured(self.name, run, log.events, begin, end, peak, landed, wrong, load)
        finally:
            clickhouse.run(f"DROP DATABASE {name}")
            time.sleep(1)  # its consumers leave the group
