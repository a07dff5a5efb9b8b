"""Who is measured: one line each."""

from collections.abc import Collection
from typing import Protocol

from bench.clickhouse_engine import ClickhouseEngine
from bench.ground import Ground
from bench.jvm_peer import JvmPeer
from bench.measured import Measured
from bench.pintally import Pintally
from bench.python_peer import PythonPeer
from bench.shapes import OWN, Shape

EXACT = "exact: flushed counts stay, the other records are counted again"
NO_RECOVERY = "no recovery is built"
DOUBLES = "records that it had not committed are counted twice"
ROWS_LATER = "counts exact; a row that was committed but not inserted is missing until the next event of its cell"
FINAL_ROWS = "counts exact: rows are final, and inserting them again does no harm"


class Contestant(Protocol):
    """One row of the table."""

    @property
    def name(self) -> str:
        """For `--only` and files."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def crash(self) -> str:
        """What a crash does to its counts, by how it works."""

    def missing(self) -> str | None:
        """Why it cannot run on this machine; None if it can."""

    def drain(self, ground: Ground, run: int) -> Measured:
        """One run. Raises PeerFailed."""


def ceiling(name: str, title: str, module: str, *arguments: str, lands: bool = True) -> PythonPeer:
    """What a client can do at best in Python."""
    return PythonPeer(name, f"ceiling: {title}", NO_RECOVERY if lands else "", module, arguments, lands=lands)


def kafka_streams(name: str, title: str, store: str) -> JvmPeer:
    """Kafka Streams with one of its stores."""
    title = f"Kafka Streams, exactly_once_v2, {title}"
    return JvmPeer(name, title, ROWS_LATER, "kafka_streams", "bench.KafkaStreamsPeer", (store,))


# Who runs on the log of shape `arms` as well, if no shapes are asked for: a slow peer would take too long twice.
ON_ARMS = frozenset(
    ("pintally", "flink", "streams", "streams-memory", "clickhouse", "clickhouse-2", "aiokafka-raw", "confluent-raw")
)


def choose(shape: Shape, only: Collection[str] | None, asked: bool) -> list[Contestant]:
    """Who runs on the log of this shape; `asked` if it was asked for, which lets everybody run."""
    named = [each for each in CONTESTANTS if only is None or each.name in only]
    return [each for each in named if asked or shape is OWN or each.name in ON_ARMS]


CONTESTANTS: tuple[Contestant, ...] = (
    Pintally("pintally", "Pintally, 1 worker", EXACT),
    Pintally("pintally-2", "Pintally, 2 workers", EXACT, workers=2),
    Pintally("pintally-create-time", "Pintally, 1 worker, CreateTime topics", EXACT, timestamps="CreateTime"),
    JvmPeer("flink", "Flink, heap state, exactly-once checkpoint every 10 s", FINAL_ROWS, "flink", "bench.FlinkPeer"),
    kafka_streams("streams", "RocksDB", "rocksDB"),
    kafka_streams("streams-memory", "in memory", "in_memory"),
    ClickhouseEngine("clickhouse", "ClickHouse's Kafka engine + materialised view, 1 consumer", DOUBLES),
    ClickhouseEngine("clickhouse-2", "ClickHouse's Kafka engine, 2 consumers", DOUBLES, consumers=2),
    PythonPeer("faust", "Faust, idiomatic", DOUBLES, "faust_idiomatic", first=60_000),
    PythonPeer("faust-take", "Faust, take(1000)", DOUBLES, "faust_take", first=100_000),
    PythonPeer("quix", "Quix Streams, final(), RocksDB", DOUBLES, "quix", first=500_000),
    PythonPeer("bytewax", "Bytewax, fold_window", NO_RECOVERY, "bytewax_windows", first=140_000),
    ceiling("aiokafka-raw", "aiokafka getmany, raw", "aiokafka_raw", lands=False),
    ceiling("aiokafka-counts", "aiokafka + msgspec + dict + sink", "aiokafka_counts"),
    ceiling("aiokafka-counts-no-gc", "the same, gc.disable()", "aiokafka_counts", "--gc-off"),
    ceiling("confluent-raw", "confluent-kafka consume, raw", "confluent_raw", lands=False),
    ceiling("confluent-counts", "confluent-kafka + msgspec + dict + sink", "confluent_counts"),
    ceiling("confluent-counts-no-gc", "the same, gc.disable()", "confluent_counts", "--gc-off"),
)
