"""Where the engines listen."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EngineAddresses:
    """Addresses of one Kafka and one ClickHouse. The password is never shown by repr."""

    kafka: str  # bootstrap servers, host:port
    clickhouse_host: str
    clickhouse_port: int  # native protocol
    clickhouse_http_port: int
    clickhouse_user: str = "default"
    clickhouse_password: str = field(default="", repr=False)

    def environment(self) -> dict[str, str]:
        """The addresses as the `PINTALLY_*` variables that `streams.settings.Settings` reads."""
        return {
            "PINTALLY_KAFKA": self.kafka,
            "PINTALLY_CLICKHOUSE_HOST": self.clickhouse_host,
            "PINTALLY_CLICKHOUSE_PORT": str(self.clickhouse_port),
            "PINTALLY_CLICKHOUSE_HTTP_PORT": str(self.clickhouse_http_port),
            "PINTALLY_CLICKHOUSE_USER": self.clickhouse_user,
            "PINTALLY_CLICKHOUSE_PASSWORD": self.clickhouse_password,
        }
