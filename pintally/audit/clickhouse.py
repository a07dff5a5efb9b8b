"""Reads ClickHouse over HTTP with the standard library. An answer is whole or an error, never cut short."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlencode

from pintally.audit.addresses import Addresses
from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.audit.pins import NEEDED, WISHED
from pintally.audit.wrong_protocol import wrong_protocol

TIMEOUT_SECONDS = 600.0  # a sort of all cells of a source may take minutes
ANSWER_SECONDS = 15.0  # for the answer to an empty question
SILENCE_SECONDS = 30.0  # within an answer, which is complete when it starts
GATEWAY = (502, 503, 504)  # a gateway in front of it has no answer
PIECE = 1 << 20  # bytes read at once
PARAMETERS = {  # of HTTP, not settings: every user may give them
    "wait_end_of_query": "1",  # the answer starts when it is complete, so that its status is final
    "buffer_size": str(16 << 20),  # larger answers go to the disk of ClickHouse
}
REFUSED = re.compile(r"Code: (?:164|452)\.")  # READONLY, SETTING_CONSTRAINT_VIOLATION
UNKNOWN = re.compile(r"Code: 115\..*?[Ss]etting '?(\w+)")  # UNKNOWN_SETTING
SETTING = re.compile(r"(?:modify '|etting '?)(\w+)'? (?:setting|should|is)")


class ClickHouse:
    """One HTTP connection for reading. Parameters of a query are sent beside it: {name:Type}."""

    def __init__(self, addresses: Addresses) -> None:
        self._where = f"ClickHouse {addresses.clickhouse_host}:{addresses.clickhouse_http_port}"
        self._database = addresses.database
        self._user = addresses.user
        self._use({**WISHED, **NEEDED})
        self._headers = {"X-ClickHouse-User": addresses.user, "X-ClickHouse-Key": addresses.password}
        host, port = self._host, self._port = addresses.clickhouse_host, addresses.clickhouse_http_port
        self._answers = False
        self._replicas, self.server = addresses.replicas, addresses.server
        self._connection = (
            HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=_trusting(addresses.ca_file))
            if addresses.secure
            else HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        )

    def __enter__(self) -> "ClickHouse":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def __str__(self) -> str:
        return self._where

    def rows(self, sql: str, **parameters: object) -> list[dict[str, Any]]:
        """All rows of a query, by column name. Raises CannotTell."""
        with self._ask(f"{sql} FORMAT JSONEachRow", parameters) as answer:
            return [json.loads(line) for line in self._body(answer).splitlines()]

    def spool(self, sql: str, *each: dict[str, object]) -> IO[bytes]:
        """The RowBinary answers to a query, one behind the other: an answer with each of these parameters.

        They are in a temporary file, at its end, that vanishes when closed. Raises CannotTell.
        """
        with ExitStack() as stack:
            try:
                spooled = stack.enter_context(TemporaryFile())
            except OSError as error:
                raise CannotTell(
                    f"there is no place for temporary files ({error.strerror})",
                    "Set TMPDIR to a folder that you may write to.",
                ) from error
            for parameters in each:
                with self._ask(f"{sql} FORMAT RowBinary", parameters) as answer:
                    for piece in self._pieces(answer):
                        spooled.write(piece)
            stack.pop_all()
        return spooled

    def _ask(self, sql: str, parameters: dict[str, object]) -> HTTPResponse:
        given = {f"param_{name}": str(value) for name, value in parameters.items()}
        if not self._answers:  # else who accepts a connection and says nothing would be waited for as for a large sort
            self._answers = True
            self._body(self._send("/", "SELECT 1", ANSWER_SECONDS))
        while True:
            path = f"/?{self._parameters}&{urlencode(given)}"
            answer = self._send(path, sql, TIMEOUT_SECONDS)
            if answer.status == 200:
                return answer
            with answer:
                text = self._body(answer).decode(errors="replace").strip()
            if not self._can_do_without(text):
                raise self._refused(answer.status, text)

    def _use(self, settings: dict[str, str]) -> None:
        """Send these with every query from now on. Encoded once: there are many."""
        self._settings = settings
        self._parameters = urlencode({"database": self._database, **PARAMETERS, **settings})

    def _can_do_without(self, text: str) -> bool:
        """Whether a refused setting can be left out; it is then not sent any more."""
        if (unknown := UNKNOWN.search(text)) and unknown[1] in self._settings:
            self._use({name: value for name, value in self._settings.items() if name != unknown[1]})  # it has no effect
            return True
        if REFUSED.search(text) and not self._settings.keys().isdisjoint(WISHED):
            self._use({name: value for name, value in self._settings.items() if name in NEEDED})
            return True
        return False

    def _send(self, path: str, sql: str, seconds: float) -> HTTPResponse:
        self._connection.close()  # a recount may take long, and the server closes idle connections
        self._connection.timeout = seconds
        try:
            self._connection.request("POST", path, sql.encode(), self._headers)
            socket = self._connection.sock
            answer = self._connection.getresponse()
            socket.settimeout(SILENCE_SECONDS)
        except (OSError, HTTPException) as error:
            raise self._unavailable(error) from error
        if self._replicas:
            self._refuse_another(answer)
        return answer

    def _refuse_another(self, answer: HTTPResponse) -> None:
        """Raise CannotTell if another replica answers than did before: two of them may be of two moments."""
        name = answer.getheader("X-ClickHouse-Server-Display-Name")
        self.server = self.server or name
        if name != self.server:
            answer.close()
            raise CannotTell(
                f"{self._where} is answered by several servers, {self.server} and {name}",
                "Set PINTALLY_CLICKHOUSE_HOST, and PINTALLY_CLICKHOUSE_OTHER_SHARDS, to one replica of each shard.",
            )

    def _pieces(self, answer: HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := answer.read(PIECE):
                yield piece
            if answer.length:  # that http.client does not say: it ends before the length that it has announced
                raise IncompleteRead(b"", answer.length)
        except (OSError, HTTPException) as error:
            raise self._unavailable(error) from error

    def _body(self, answer: HTTPResponse) -> bytes:
        return b"".join(self._pieces(answer))

    def _unavailable(self, error: Exception) -> CannotTell:
        self._connection.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            return CannotTell(
                f"{self._where} presents a certificate that is not trusted: {error.verify_message}",
                "Set PINTALLY_CLICKHOUSE_CA_FILE to the certificates of its authority.",
            )
        if wrong := wrong_protocol(error, self._host, self._port, isinstance(self._connection, HTTPSConnection)):
            return CannotTell(f"{self._where} {wrong[0]}, wrong protocol or wrong port", wrong[1])
        detail = f"{type(error).__name__}: {error}"
        return CannotTellNow(
            f"{self._where} does not answer ({detail})", "Start it, or set PINTALLY_CLICKHOUSE_HOST and _HTTP_PORT."
        )

    def _refused(self, status: int, text: str) -> CannotTell:
        if REFUSED.search(text) and (found := SETTING.search(text)):
            return CannotTell(
                f"{self._where}: the profile of user {self._user!r} has another value of `{found[1]}` than an exact "
                f"answer needs, and does not let it be changed: {text[:300]}",
                f"Take `{found[1]}` out of the profile and its constraints, or give this user another profile.",
            )
        said = f"{self._where} refused a query (HTTP {status}): {text[:500]}"
        if status in GATEWAY:
            return CannotTellNow(said, "Try again when the server behind it answers.")
        return CannotTell(said, _remedy(text))


def _remedy(text: str) -> str:
    """Returns the remedy for a refusal."""
    if "Port 9000" in text or "DB::Exception" not in text:
        return "Set PINTALLY_CLICKHOUSE_HTTP_PORT to ClickHouse's HTTP port (usually 8123, with TLS 8443)."
    if "AUTHENTICATION_FAILED" in text:
        return "Set PINTALLY_CLICKHOUSE_USER and PINTALLY_CLICKHOUSE_PASSWORD."
    grant = r"([^:]+): Not enough privileges.* grant (.+?)(?: for at least one column)? ON ([^\s()]+?)\.?(?:\s|$)"
    if missing := re.search(grant, text, re.IGNORECASE):
        return (
            f"As an administrator of ClickHouse: GRANT {missing[2]} ON {missing[3]} TO `{missing[1].strip()}`. All: "
            "`pintally users`."
        )
    return "Check the user, the password and the database, and that `pintally migrate` has run."


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CannotTell(
            f"PINTALLY_CLICKHOUSE_CA_FILE={ca_file} cannot be used: {error}",
            "Name a file of certificates in PEM format.",
        ) from error
