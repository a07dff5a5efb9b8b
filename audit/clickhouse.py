"""Reads ClickHouse over HTTP with the standard library. An answer is whole or an error, never cut short."""

import json
import ssl
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlencode

from audit.addresses import Addresses
from audit.errors import CannotTell, CannotTellNow

TIMEOUT_SECONDS = 600.0  # a sort of all cells of a source may take minutes
PIECE = 1 << 20  # bytes read at once
SETTINGS = {
    "readonly": "2",  # an audit changes nothing
    "wait_end_of_query": "1",  # the answer starts when it is whole, so that the status tells the truth
    "http_response_buffer_size": str(16 << 20),  # beyond this ClickHouse keeps the answer on its disk
    "max_bytes_before_external_sort": str(1 << 30),
    "max_bytes_before_external_group_by": str(1 << 30),
    "output_format_json_quote_64bit_integers": "0",
    "cancel_http_readonly_queries_on_client_close": "1",
}


class ClickHouse:
    """One HTTP connection, read only. Parameters of a query go beside it: {name:Type}."""

    def __init__(self, addresses: Addresses) -> None:
        self._where = f"ClickHouse {addresses.clickhouse_host}:{addresses.clickhouse_http_port}"
        self._database = addresses.database
        self._headers = {"X-ClickHouse-User": addresses.user, "X-ClickHouse-Key": addresses.password}
        host, port = addresses.clickhouse_host, addresses.clickhouse_http_port
        self._connection = (
            HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=_trusting(addresses.ca_file))
            if addresses.secure
            else HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        )

    def __enter__(self) -> "ClickHouse":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        """All rows of a query, by column name. Raises CannotTell."""
        with self._ask(f"{sql} FORMAT JSONEachRow", parameters) as answer:
            return [json.loads(line) for line in self._body(answer).splitlines()]

    def spool(self, sql: str, **parameters: object) -> IO[bytes]:
        """The RowBinary answer to a query, in a temporary file that vanishes when closed. Raises CannotTell."""
        with self._ask(f"{sql} FORMAT RowBinary", parameters) as answer:
            try:
                spooled = TemporaryFile()  # noqa: SIM115 - the caller closes it
            except OSError as error:
                raise CannotTell(
                    f"there is no place for temporary files ({error.strerror})",
                    "Set TMPDIR to a folder that you may write to.",
                ) from error
            for piece in self._pieces(answer):
                spooled.write(piece)
            spooled.seek(0)
            return spooled

    def _ask(self, sql: str, parameters: dict[str, object]) -> HTTPResponse:
        given = {f"param_{name}": str(value) for name, value in parameters.items()}
        path = "/?" + urlencode({"database": self._database, **SETTINGS, **given})
        self._connection.close()  # between two questions lies a recount; the server hangs up on idle connections
        try:
            self._connection.request("POST", path, sql.encode(), self._headers)
            answer = self._connection.getresponse()
        except (OSError, HTTPException) as error:
            raise self._silent(error) from error
        if answer.status != 200:
            raise self._refused(answer)
        return answer

    def _pieces(self, answer: HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := answer.read(PIECE):
                yield piece
        except (OSError, HTTPException) as error:
            raise self._silent(error) from error

    def _body(self, answer: HTTPResponse) -> bytes:
        return b"".join(self._pieces(answer))

    def _silent(self, error: Exception) -> CannotTell:
        self._connection.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            return CannotTell(
                f"{self._where} shows a certificate that is not to be trusted: {error.verify_message}",
                "Set PINTALLY_CLICKHOUSE_CA_FILE to the certificates of its authority.",
            )
        detail = f"{type(error).__name__}: {error}"
        return CannotTellNow(
            f"{self._where} does not answer ({detail})", "Start it, or set PINTALLY_CLICKHOUSE_HOST and _HTTP_PORT."
        )

    def _refused(self, answer: HTTPResponse) -> CannotTell:
        with answer:
            text = self._body(answer).decode(errors="replace").strip()
        remedy = "Check the user, the password and the database, and that `pintally migrate` has run."
        return CannotTell(f"{self._where} refused a query (HTTP {answer.status}): {text[:500]}", remedy)


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CannotTell(
            f"PINTALLY_CLICKHOUSE_CA_FILE={ca_file} cannot be used: {error}",
            "Name a file of certificates in PEM format.",
        ) from error
