"""Log lines that repeat are counted, not repeated: whatever waits for an engine writes a bounded log.

The first lines of a kind are written, then one after 10 s, 20 s, 40 s and so on, up to every ten minutes, which says
how many were left out. A kind that was silent for twice as long begins anew.
"""

import logging
import re
from dataclasses import dataclass
from threading import Lock
from time import monotonic

FIRST = {"aiokafka": 1, "kafka": 1, "clickhouse_driver": 1}  # lines of a kind, by package
OURS = 20  # of all others: one a source, say
SHORTEST_SECONDS = 10.0
LONGEST_SECONDS = 600.0
MOST_KINDS = 1000
_VARYING = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")


@dataclass(slots=True)
class _Kind:
    first: int  # lines that are written before any is left out
    last: float  # when one was written
    seen: float  # when one came
    written: int = 0
    gap: float = SHORTEST_SECONDS
    left_out: int = 0

    def may_be_written(self, now: float) -> bool:
        """Whether one that comes now is written; it is counted in any case."""
        if now - self.seen > 2 * self.gap:
            self.written, self.gap = 0, SHORTEST_SECONDS
        self.seen = now
        if self.written >= self.first:
            if now - self.last < self.gap:
                self.left_out += 1
                return False
            self.gap = min(2 * self.gap, LONGEST_SECONDS)
        self.written += 1
        return True


class Repeated(logging.Filter):
    """Lets a record pass, or counts it."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, int, str], _Kind] = {}
        self._lock = Lock()  # a handler asks its filters before it takes its own

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; one that stands for others says for how many."""
        if record.levelno >= logging.CRITICAL or record.levelno <= logging.DEBUG:
            return True
        with self._lock:
            now = monotonic()
            kind = self._kind(record, now)
            if not kind.may_be_written(now):
                return False
            if kind.left_out:
                record.msg = f"{record.getMessage()} [{kind.left_out} more like it in {now - kind.last:.0f} s]"
                record.args = ()
                record.left_out = kind.left_out
            kind.left_out, kind.last = 0, now
            return True

    def _kind(self, record: logging.LogRecord, now: float) -> _Kind:
        """Lines of one sentence, whatever its numbers. Silent ones are forgotten where there are many."""
        key = record.name, record.levelno, _VARYING.sub("#", str(record.msg))
        if key not in self._kinds:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds = {old: kind for old, kind in self._kinds.items() if now - kind.seen <= 2 * kind.gap}
            self._kinds[key] = _Kind(FIRST.get(record.name.partition(".")[0], OURS), now, now)
        return self._kinds[key]
