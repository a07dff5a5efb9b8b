"""One connection to ClickHouse that never comes back by itself: after any error it is over."""

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from clickhouse_driver import Client
from clickhouse_driver.errors import Error, NetworkError

from sinks.address import ClickHouseAddress
from sinks.base import SinkError, SinkUnavailable
from sinks.failures import translate
from sinks.server_version import ClickHouseTooOld, refuse_old

# The driver logs every refused connection with its traceback; our errors say it once.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)

# Every setting that decides what an insert does is pinned: servers differ in their defaults (26.x inserts
# asynchronously, for one), and a block that is dropped as a repetition would be a lost count.
INSERT_SETTINGS: dict[str, int] = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "min_insert_block_size_rows": 1 << 20,  # the server joins the driver's blocks: one insert, one part a partition
    "min_insert_block_size_bytes": 1 << 30,
    "max_partitions_per_insert_block": 200,  # retention is 90 days, a partition a day
    "insert_quorum": 0,
}
BLOCK_ROWS = 1 << 16  # rows the driver sends at once: larger copies cost it twice as much, in page faults
CONNECT_SECONDS = 5.0


class Connection:
    """A clickhouse-driver client, connected once. Not to be shared between threads."""

    def __init__(
        self,
        address: ClickHouseAddress,
        timeout_seconds: float,
        *,
        database: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Connect. Raises SinkUnavailable if nobody answers, SinkError if the login or the database is refused."""
        self._address = address
        self._over = False
        self._client = Client(
            address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database if database is None else database,
            secure=address.secure,
            ca_certs=address.ca_file,
            client_name="pintally",
            connect_timeout=min(CONNECT_SECONDS, timeout_seconds),
            send_receive_timeout=timeout_seconds,
            sync_request_timeout=min(CONNECT_SECONDS, timeout_seconds),
            compression=False,  # measured: on one machine lz4 costs more than the bytes it saves
            disable_reconnect=True,
            settings={**INSERT_SETTINGS, "insert_block_size": BLOCK_ROWS, **(settings or {})},
        )
        self._run(self._client.connection.connect)
        self._refuse_old()
        self._client.connection.connect = _refuse_to_reconnect

    def _refuse_old(self) -> None:
        try:
            refuse_old(str(self._address), self._client.connection.server_info.version_tuple())
        except ClickHouseTooOld:
            self.close()
            raise

    def execute(self, sql: str, *args: Any, **kwargs: Any) -> Any:
        """`Client.execute`. Raises SinkUnavailable or SinkError; after either the connection is over."""
        return self._run(self._client.execute, sql, *args, **kwargs)

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query with `%(name)s` parameters."""
        return list(self.execute(sql, parameters or None))

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **settings: Any) -> None:
        """Insert rows in one block and wait until they are durable; no rows is no insert."""
        if rows:
            names = ", ".join(f"`{column}`" for column in columns)
            self.execute(f"INSERT INTO {table} ({names}) VALUES", rows, settings=settings)

    def close(self) -> None:
        """Close the connection; further calls raise SinkUnavailable."""
        self._over = True
        self._client.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        if self._over:
            raise SinkUnavailable(f"this connection to ClickHouse at {self._address} is over", "Open a new session.")
        done = False
        try:
            result = call(*args, **kwargs)
            done = True
        except (Error, OSError, EOFError) as error:
            raise translate(error, self._address) from error
        finally:
            if not done:  # also on KeyboardInterrupt: an answer is still on its way
                self.close()
        return result


def _refuse_to_reconnect() -> None:
    # clickhouse-driver connects again after an error, even with disable_reconnect; what was read would be forgotten.
    raise NetworkError("the connection was closed")


__all__ = ["Connection", "SinkError", "SinkUnavailable"]
