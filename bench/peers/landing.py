"""How the Python peers land counts: absolute ones, packed, over HTTP, in one insert at a time."""

from collections import defaultdict
from collections.abc import Iterable
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import numpy as np

from bench.peers.told import Told

ROW = np.dtype([("pin", "<u8"), ("minute", "<u4"), ("events", "<u8")])  # RowBinary of UInt64, DateTime, UInt64


class Landing:
    """One connection that inserts into the table of the run."""

    def __init__(self, to: Told) -> None:
        self._connection = HTTPConnection(urlsplit(to.clickhouse).netloc, timeout=60)
        self._path = "/?" + urlencode({"query": f"INSERT INTO {to.table} FORMAT RowBinary"})
        self._login = {"X-ClickHouse-User": to.user, "X-ClickHouse-Key": to.password}

    def land(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Insert (pin, minute in seconds since 1970, count so far). Raises RuntimeError if ClickHouse refuses."""
        packed = np.array(list(rows), ROW).tobytes()
        if not packed:
            return
        self._connection.request("POST", self._path, packed, self._login)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(said.decode())


class Counts:
    """Counts a pin and minute in a dict; what is new since the last flush is kept apart."""

    def __init__(self, landing: Landing) -> None:
        self.fresh: defaultdict[tuple[str, int], int] = defaultdict(int)  # (pin, minute since 1970) -> new events
        self._total: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._landing = landing

    def flush(self) -> None:
        """Land every cell that grew."""
        total = self._total
        for cell, events in self.fresh.items():
            total[cell] += events
        self._landing.land((int(pin), minute * 60, total[pin, minute]) for pin, minute in self.fresh)
        self.fresh.clear()
