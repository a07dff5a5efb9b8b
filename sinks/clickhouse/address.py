"""Where ClickHouse listens and who we are there."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """Native and HTTP ports of one ClickHouse server. The password is never shown by repr."""

    host: str = "127.0.0.1"
    port: int = 9000  # native protocol
    http_port: int = 8123
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "pintally"
    secure: bool = False  # TLS on both ports
    ca_file: str | None = None  # PEM: whom to trust for its certificate; None: the system's authorities

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"
