"""ClickHouse over HTTP: statements, and tables of counts read as cells."""

from io import BytesIO
from shutil import copyfileobj
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np

from bench.cells import CELL, Cells
from pintally.streams.settings import Settings

TIMEOUT_SECONDS = 120


class Clickhouse:
    """One server and one database of it."""

    def __init__(self, settings: Settings, database: str, shard: int = 0) -> None:
        server = settings.clickhouse.shards[shard]
        scheme = "https" if server.secure else "http"
        self.address = f"{scheme}://{server.host}:{server.http_port}/"
        self.user = server.user
        self.password = server.password.get_secret_value()
        self.database = database

    def run(self, statement: str) -> bytes:
        """What a statement answers. Raises RuntimeError with ClickHouse's reason if it refuses."""
        answer = BytesIO()
        self.save(statement, answer)
        return answer.getvalue()

    def save(self, statement: str, into: IO[bytes]) -> None:
        """Write what a statement answers. Raises RuntimeError with ClickHouse's reason if it refuses."""
        login = {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password}
        url = f"{self.address}?{urlencode({'database': self.database})}"
        try:
            with urlopen(Request(url, statement.encode(), login), timeout=TIMEOUT_SECONDS) as answer:
                copyfileobj(answer, into)
        except HTTPError as refused:
            raise RuntimeError(f"ClickHouse refused {statement[:200]!r}: {refused.read().decode()[:500]}") from refused

    def number(self, query: str) -> int:
        """The one number a query gives."""
        return int(self.run(query))

    def cells(self, query: str) -> Cells:
        """Cells from a query of pin (UInt64), minute (DateTime) and events (UInt64)."""
        found = np.frombuffer(self.run(f"{query} FORMAT RowBinary"), CELL)
        return found[np.lexsort((found["pin"], found["minute"]))]
