"""A connection to ClickHouse that never reconnects by itself: any error closes it."""

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from clickhouse_driver.errors import Error, NetworkError

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.array_blocks import BLOCK_ROWS, ArrayClient
from pintally.sinks.clickhouse.errors import is_about_settings, read_only_user, translate
from pintally.sinks.clickhouse.pins import CLOUD, LIMITS, READS, WRITES, of_quorum
from pintally.sinks.clickhouse.server_version import ClickHouseTooOld, refuse_old
from pintally.sinks.clickhouse.wrong_protocol import SENSELESS, wrong_protocol

# The driver logs each refused connection with a traceback; our errors report it once.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)

CONNECT_SECONDS = 5.0
QUERY_SECONDS = 60.0
MAINTENANCE_SECONDS = 600.0  # deletes, and sums over all cells, may take minutes
READONLY = "SELECT getSetting('readonly')"
IS_CLOUD = "SELECT getSetting('cloud_mode')"
SELECT_SECONDS = 30.0  # without data during a read: ClickHouse sends its progress ten times a second
HELLO_SECONDS = 10.0  # for the first answer; a query may take longer


class Connection:
    """A clickhouse-driver client, connected once. Not to be shared between threads."""

    def __init__(
        self,
        address: ClickHouseAddress,
        timeout_seconds: float = QUERY_SECONDS,
        *,
        database: str | None = None,
        settings: Mapping[str, Any] | None = None,
        only_reads: bool = False,
    ) -> None:
        """Connect, with the settings of `pins`. Raises SinkUnavailable if nobody answers, SinkError if the login,
        the database or one of those settings is refused, or if the user may only read and `only_reads` is not said."""
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._database = address.database if database is None else database
        others = bool(address.cluster) and not only_reads  # other servers take rows of the same tables
        waits = of_quorum(address.quorum) if others else {}
        needed = {**READS, **({} if only_reads else {**WRITES, **waits}), **(settings or {})}
        try:
            self._open({**LIMITS, **needed})
        except SinkError as error:
            if not is_about_settings(error):
                raise
            self._open(needed)  # limits that may not be lifted end in errors, so that they harm no count
        if not only_reads and self._readonly:
            self.close()
            raise read_only_user(address, self._readonly)
        self.is_cloud, self.is_replicated = False, others
        if others and int(self.one(IS_CLOUD)[0]):
            self.is_cloud, self.is_replicated = True, False
            self.keep(**CLOUD, insert_quorum="0")

    @property
    def has_replicas(self) -> bool:
        """Whether other servers answer for the same rows."""
        return self.is_replicated or self.is_cloud

    def keep(self, **settings: Any) -> None:
        """From now on each statement has these settings too."""
        self._client.settings.update(settings)

    def _open(self, settings: Mapping[str, Any]) -> None:
        """Connect and run a first query, which fails if the server refuses one of the settings."""
        address, timeout_seconds = self._address, self._timeout_seconds
        self._over = self._given_records = False
        self._client = ArrayClient(
            address.host,
            port=address.port,
            user=address.user,
            password=address.password.get_secret_value(),
            database=self._database,
            secure=address.secure,
            ca_certs=address.ca_file,
            client_name="pintally",
            connect_timeout=min(CONNECT_SECONDS, timeout_seconds),
            send_receive_timeout=min(HELLO_SECONDS, timeout_seconds),
            sync_request_timeout=min(CONNECT_SECONDS, timeout_seconds),
            compression=False,  # measured: on one machine lz4 costs more than the bytes it saves
            disable_reconnect=True,
            settings={"insert_block_size": BLOCK_ROWS, **settings},
        )
        self._connect()
        self._refuse_old()
        self._client.connection.connect = _refuse_to_reconnect
        answer = self._run(self._client.execute, READONLY)
        self._readonly = int(self._only(answer, READONLY)[0])

    @property
    def address(self) -> ClickHouseAddress:
        """The address and the user of this connection."""
        return self._address

    def _refuse_old(self) -> None:
        try:
            refuse_old(str(self._address), self._client.connection.server_info.version_tuple())
        except ClickHouseTooOld:
            self.close()
            raise

    def execute(self, sql: str, *args: Any, **kwargs: Any) -> Any:
        """Run `Client.execute`. Raises SinkUnavailable or SinkError; both close the connection."""
        if not self._over:
            reads = sql.lstrip().upper().startswith(("SELECT", "WITH"))
            seconds = min(SELECT_SECONDS, self._timeout_seconds) if reads else self._timeout_seconds
            self._client.connection.socket.settimeout(seconds)
        return self._run(self._client.execute, sql, *args, **kwargs)

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Returns the rows of a query with `%(name)s` parameters."""
        return list(self.execute(sql, parameters or None))

    def one(self, sql: str, **parameters: Any) -> tuple[Any, ...]:
        """Returns the row of a query that has exactly one. Raises SinkError if the answer has none or several."""
        return self._only(self.rows(sql, **parameters), sql)

    def _only(self, rows: Sequence[tuple[Any, ...]], sql: str) -> tuple[Any, ...]:
        if len(rows) != 1:
            self.close()
            raise SinkError(
                f"ClickHouse at {self._address} returned {len(rows)} rows instead of one, to: {' '.join(sql.split())}",
                f"A setting or a row policy shortens answers: check those of user {self._address.user!r}.",
            )
        return rows[0]

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **settings: Any) -> None:
        """Insert rows in one block and wait until they are durable; no rows is no insert."""
        if rows:
            names = ", ".join(f"`{column}`" for column in columns)
            self.execute(f"INSERT INTO {table} ({names}) VALUES", rows, settings=settings)

    def insert_records(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **settings: Any
    ) -> None:
        """As `insert`, of rows that hold records: no error quotes them."""
        self._given_records = True
        self.insert(table, columns, rows, **settings)
        self._given_records = False  # not after an error: the connection is over then

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

    def _connect(self) -> None:
        """Connect. Raises SinkError for a server with another protocol, because trying again does not help."""
        try:
            self._run(self._client.connection.connect)
        except SENSELESS as error:
            raise wrong_protocol(error, self._address) or error from error
        except SinkUnavailable as error:
            if isinstance(error.__cause__, Exception) and (wrong := wrong_protocol(error.__cause__, self._address)):
                raise wrong from error
            raise

    def _run(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        if self._over:
            raise SinkUnavailable(f"this connection to ClickHouse at {self._address} is over", "Open a new session.")
        done = False
        try:
            result = call(*args, **kwargs)
            done = True
        except (Error, OSError, EOFError) as error:
            raise translate(error, self._address, may_quote=self._given_records) from error
        finally:
            if not done:  # also on KeyboardInterrupt: the answer is still to come
                self.close()
        return result


class OnConnection:
    """Base of the parts of a session, which `sinks.base` and `sinks.maintenance` describe: all on one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


def _refuse_to_reconnect() -> None:
    # clickhouse-driver reconnects after an error, even with disable_reconnect; what was read before may then be stale.
    raise NetworkError("the connection was closed")


__all__ = ["Connection", "OnConnection", "SinkError", "SinkUnavailable"]
