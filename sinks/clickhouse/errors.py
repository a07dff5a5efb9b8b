"""Translates errors of ClickHouse: try again later, or a person must act."""

import re
import threading
from collections import Counter
from typing import Final

from clickhouse_driver.errors import (
    CannotParseDomainError,
    CannotParseUuidError,
    Error,
    ErrorCodes,
    LogicalError,
    NetworkError,
    ServerException,
    SocketTimeoutError,
    TypeMismatchError,
)

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress

HIDDEN = "whose text may quote a record: the server's own log has it"
QUOTES_A_VALUE = (TypeMismatchError, CannotParseUuidError, CannotParseDomainError, LogicalError)  # the driver's own
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
READONLY, CONSTRAINT = 164, 452
SETTING = re.compile(r"(?:modify '|etting '?)(\w+)'? (?:setting|should|is)")  # as both name it
# Limits of a profile that we may not lift. A later attempt may stay below them, so they are repeated.
LIMITED = {158, 159, 160, 191, 290, 307, 396, 565}
# Errors of a request that the server would always refuse.
FINAL = {62, 43, 46, 42, 53, 36, 115, 60, 81, 16, 47, 8, 20, 44, 48, 70, 72, 27, 6, 349, 344}
KINDS: Final = ("timeout", "network", "server", "login", "rights", "schema", "refused")


class Seen:
    """How many errors of each kind ClickHouse and its driver had for this process; any thread may count."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self._turn = threading.Lock()

    def add(self, kind: str) -> None:
        """One more of KINDS."""
        with self._turn:
            self.kinds[kind] += 1


seen = Seen()


def kind_of(error: Exception) -> str:
    """Returns one of KINDS."""
    if isinstance(error, ServerException):
        refused = FINAL | {READONLY, CONSTRAINT, ErrorCodes.UNKNOWN_DATABASE}
        codes = {"login": LOGIN, "rights": RIGHTS | USERS_IN_FILES, "schema": SCHEMA, "refused": refused}
        return next((kind for kind, of in codes.items() if error.code in of), "server")
    return "timeout" if isinstance(error, (SocketTimeoutError, TimeoutError)) else "network"


def translate(error: Exception, address: ClickHouseAddress, *, may_quote: bool = False) -> SinkError:
    """Returns the error as SinkUnavailable (try again) or SinkError (a person must act), never with the password.

    `may_quote`: the server was given records. What it says may quote them, so only the number of its error is kept.
    It is counted in `seen`.
    """
    seen.add(kind_of(error))
    where = f"ClickHouse at {address}"
    if isinstance(error, ServerException):
        return _refused(
            error, where, address, f"error {error.code}, {HIDDEN}" if may_quote else _first_line(error, address)
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return SinkError(
            f"{where} presents a certificate that is not trusted: {_first_line(error, address)}",
            "Set PINTALLY_CLICKHOUSE_CA_FILE to the certificates of its authority, and PINTALLY_CLICKHOUSE_HOST to the "
            "name in its certificate.",
        )
    if isinstance(error, (SocketTimeoutError, TimeoutError)):
        return SinkUnavailable(f"{where} did not answer in time", _START)
    if isinstance(error, (NetworkError, OSError, EOFError)):
        return SinkUnavailable(f"{where} does not answer: {_first_line(error, address)}", _START)
    if isinstance(error, QUOTES_A_VALUE):
        return SinkUnavailable(f"{where}: {type(error).__name__}, whose text may quote a record", _START)
    if isinstance(error, Error):  # an unreadable answer: it is unknown what was applied
        return SinkUnavailable(f"{where}: {_first_line(error, address)}", _START)
    raise TypeError(f"not an error of the driver: {error!r}")


_START = "Start it (without Docker: pintally up), or set PINTALLY_CLICKHOUSE_HOST and PINTALLY_CLICKHOUSE_PORT."


def _refused(error: ServerException, where: str, address: ClickHouseAddress, said: str) -> SinkError:
    if error.code in LOGIN:
        return SinkError(
            f"{where} refused the login of user {address.user!r}",
            "Set PINTALLY_CLICKHOUSE_USER and PINTALLY_CLICKHOUSE_PASSWORD.",
        )
    if error.code in RIGHTS:
        return SinkError(f"{where} does not let user {address.user!r} do this: {said}", _grant(said, address.user))
    if error.code in USERS_IN_FILES:
        return SinkError(
            f"{where} keeps its users in files: {said}",
            "Put what `pintally users --xml` prints into its users.d folder.",
        )
    if error.code in (READONLY, CONSTRAINT):
        return _settings_refused(said, where, address)
    if error.code in LIMITED:
        return SinkUnavailable(
            f"{where} ends queries of user {address.user!r} at a limit of its profile (code {error.code}): {said}",
            "Raise that limit for this user, or let it change the setting.",
        )
    if error.code == ErrorCodes.UNKNOWN_DATABASE:
        return SinkError(
            f"{where} has no database {address.database!r}",
            "Run pintally migrate, or set PINTALLY_CLICKHOUSE_DATABASE.",
        )
    if error.code in SCHEMA:
        return SinkError(f"{where}: {said}", "The tables do not fit this version: run pintally migrate.")
    if error.code in FINAL:
        return SinkError(
            f"{where}: {said}",
            "This server may not support the statement: docs/compatibility.md lists tested versions.",
        )
    return SinkUnavailable(f"{where} cannot do this now (code {error.code}): {said}", "Try again later.")


def _grant(said: str, user: str) -> str:
    """Returns the GRANT for the right that is missing."""
    missing = re.search(
        r"to have (?:the )?grant (.+?)(?: for at least one column)? ON ([^\s()]+?)\.?(?:\s|$)", said, re.I
    )
    if not missing:
        return f"Grant user {user!r} what it lacks."
    statement = f"GRANT {missing[1]} ON {missing[2]} TO `{user}`"
    return f"As an administrator of ClickHouse: {statement}. All rights: `pintally users`."


class SettingRefused(SinkError):
    """The profile of the user has `readonly`, or a constraint on a setting that exact counts need."""


def is_about_settings(error: SinkError) -> bool:
    """Whether the server refused a setting, and not something else."""
    return isinstance(error, SettingRefused)


def read_only_user(address: ClickHouseAddress, readonly: int) -> SinkError:
    """Returns the error for a user who may only read: workers must write."""
    return SettingRefused(
        f"ClickHouse at {address}: user {address.user!r} may only read (its profile has `readonly = {readonly}`)",
        "Set `readonly = 0` in its profile, or give workers a user of their own: `pintally users`.",
    )


def _settings_refused(said: str, where: str, address: ClickHouseAddress) -> SinkError:
    found = SETTING.search(said)
    if found is None:
        return SettingRefused(
            f"{where}: user {address.user!r} may only read (its profile has `readonly`): {said}",
            "Set `readonly = 0` in its profile, or give workers a user of their own: `pintally users`.",
        )
    return SettingRefused(
        f"{where}: the profile of user {address.user!r} has another value of `{found[1]}` than exact counts need, and "
        f"does not let it be changed: {said}",
        f"Take `{found[1]}` out of the profile and its constraints, or give this user another profile.",
    )


def _first_line(error: Exception, address: ClickHouseAddress) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    text = text.split("Stack trace")[0].strip().split("\n")[0]
    if password := address.password.get_secret_value():
        text = text.replace(password, "***")
    return text.removeprefix("DB::Exception: ")[:400]
