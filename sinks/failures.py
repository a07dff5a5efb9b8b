"""What ClickHouse's errors mean to us: try again later, or a person must mend something."""

from clickhouse_driver.errors import Error, ErrorCodes, NetworkError, ServerException, SocketTimeoutError

from sinks.address import ClickHouseAddress
from sinks.base import SinkError, SinkUnavailable

AUTHENTICATION_FAILED = 516  # clickhouse-driver names no code above 441
LOGIN = {ErrorCodes.UNKNOWN_USER, ErrorCodes.WRONG_PASSWORD, ErrorCodes.REQUIRED_PASSWORD, AUTHENTICATION_FAILED}
RIGHTS = {ErrorCodes.DATABASE_ACCESS_DENIED, 497}  # ACCESS_DENIED
USERS_IN_FILES = {495, 514}  # ACCESS_STORAGE_READONLY, ACCESS_STORAGE_FOR_INSERTION_NOT_FOUND
SCHEMA = {
    ErrorCodes.UNKNOWN_TABLE,
    ErrorCodes.UNKNOWN_IDENTIFIER,
    ErrorCodes.NO_SUCH_COLUMN_IN_TABLE,
    ErrorCodes.THERE_IS_NO_COLUMN,
    ErrorCodes.TYPE_MISMATCH,
}
# Errors of a request that would be refused again and again, whatever the server's state.
FINAL = {62, 43, 46, 42, 53, 36, 115, 60, 81, 16, 47, 8, 20, 44, 48, 70, 72, 27, 6, 349, 344}


def translate(error: Exception, address: ClickHouseAddress) -> SinkError:
    """The error as SinkUnavailable (repeat later) or SinkError (mend it); never contains the password."""
    where = f"ClickHouse at {address}"
    if isinstance(error, ServerException):
        return _refused(error, where, address)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return SinkError(
            f"{where} shows a certificate that is not to be trusted: {_first_line(error, address)}",
            "Set PINTALLY_CLICKHOUSE_CA_FILE to the certificates of its authority, and PINTALLY_CLICKHOUSE_HOST to the "
            "name in its certificate.",
        )
    if isinstance(error, (SocketTimeoutError, TimeoutError)):
        return SinkUnavailable(f"{where} did not answer in time", _START)
    if isinstance(error, (NetworkError, OSError, EOFError)):
        return SinkUnavailable(f"{where} does not answer: {_first_line(error, address)}", _START)
    if isinstance(error, Error):  # an answer that makes no sense: what was applied is unknown
        return SinkUnavailable(f"{where}: {_first_line(error, address)}")
    raise TypeError(f"not an error of the driver: {error!r}")


_START = "Start it (without Docker: pintally up), or set PINTALLY_CLICKHOUSE_HOST and PINTALLY_CLICKHOUSE_PORT."


def _refused(error: ServerException, where: str, address: ClickHouseAddress) -> SinkError:
    said = _first_line(error, address)
    if error.code in LOGIN:
        return SinkError(
            f"{where} refused the login of user {address.user!r}",
            "Set PINTALLY_CLICKHOUSE_USER and PINTALLY_CLICKHOUSE_PASSWORD.",
        )
    if error.code in RIGHTS:
        return SinkError(f"{where}: {said}", f"Grant user {address.user!r} what it lacks.")
    if error.code in USERS_IN_FILES:
        return SinkError(
            f"{where} keeps its users in files: {said}",
            "Put what `pintally users --xml` prints into its users.d folder.",
        )
    if error.code == ErrorCodes.UNKNOWN_DATABASE:
        return SinkError(
            f"{where} has no database {address.database!r}",
            "Run pintally migrate, or set PINTALLY_CLICKHOUSE_DATABASE.",
        )
    if error.code in SCHEMA:
        return SinkError(f"{where}: {said}", "The tables do not fit this version: run pintally migrate.")
    if error.code in FINAL:
        return SinkError(f"{where}: {said}", "It may not know what we ask: docs/compatibility.md lists what was run.")
    return SinkUnavailable(f"{where} cannot take it now (code {error.code}): {said}")


def _first_line(error: Exception, address: ClickHouseAddress) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    text = text.split("Stack trace")[0].strip().split("\n")[0]
    if address.password:
        text = text.replace(address.password, "***")
    return text.removeprefix("DB::Exception: ")[:400]
