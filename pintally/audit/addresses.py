"""Addresses of the log and of the tables. The caller gives them; nothing is read from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Addresses:
    """Kafka, ClickHouse and the topics to check. `repr` does not show secrets."""

    kafka: str  # bootstrap servers, host:port, separated by commas
    topics: tuple[tuple[str, int], ...]  # topic and the number of its action in `pin_minutes.action`
    clickhouse_host: str = "127.0.0.1"
    clickhouse_http_port: int = 8123
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "pintally"
    secure: bool = False  # TLS to ClickHouse
    ca_file: str | None = None  # PEM: authorities for its certificate; None: those of the system
    shards: tuple[tuple[str, int, str], ...] = ()  # host, HTTP port and database of each, where several share the pins
    number: int = 0  # of the shard that is asked
    replicas: bool = False  # whether other servers hold the same rows
    server: str | None = None  # the one of them that must answer, as it calls itself; None: whichever answers first
    user_keys: tuple[bytes, ...] = field(default=(), repr=False)  # of the hash of users, 16 bytes each
    # Other options of kafka-python: security_protocol, ssl_cafile, sasl_mechanism and so on. Plain values, because they
    # are sent to other processes.
    kafka_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def of_shards(self) -> "list[Addresses]":
        """These addresses for each shard; themselves if there is one server."""
        if not self.shards:
            return [self]
        return [
            replace(
                self, clickhouse_host=host, clickhouse_http_port=port, database=database, number=number, server=None
            )
            for number, (host, port, database) in enumerate(self.shards)
        ]

    def __str__(self) -> str:
        return f"Kafka {self.kafka}, ClickHouse {self.clickhouse_host}:{self.clickhouse_http_port}/{self.database}"
