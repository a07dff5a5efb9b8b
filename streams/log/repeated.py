"""Log lines that repeat are counted, not repeated: whatever waits for an engine writes a bounded log.

The first lines of a kind are written, then one after 10 s, 20 s, 40 s and so on, up to every ten minutes, which says
how many were left out. A kind that was silent for twice as long begins anew.
"""

import logging
import re
from dataclasses import dataclass
from time import monotonic

FIRST = {"aiokafka": 1, "faust": 2, "mode": 2, "kafka": 1, "clickhouse_driver": 1}  # lines of a kind, by package
OURS = 20  # a minute, of all others: one a source, say
MINUTE = 60.0
SHORTEST_SECONDS = 10.0
LONGEST_SECONDS = 600.0
_VARYING = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?")


@dataclass(slots=True)
class _Kind:
    written: int
    last: float  # when one was written
    seen: float  # when one came
    began: float  # the minute of ours
    gap: float = SHORTEST_SECONDS
    left_out: int = 0


class Repeated(logging.Filter):
    """Lets a record pass, or counts it."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, int, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; one that stands for others says for how many."""
        if record.levelno >= logging.CRITICAL or record.levelno <= logging.DEBUG:
            return True
        now = monotonic()
        key = record.name, record.levelno, _VARYING.sub("#", str(record.msg))
        kind = self._kinds.get(key)
        if kind is None or now - kind.seen > 2 * kind.gap:
            self._kinds[key] = _Kind(1, now, now, now)
            return True
        kind.seen = now
        first = FIRST.get(record.name.partition(".")[0], OURS)
        if first == OURS and now - kind.began >= MINUTE:
            kind.began, kind.written = now, 0
        if kind.written < first:
            kind.written += 1
            kind.last = now
            return True
        if now - kind.last < kind.gap:
            kind.left_out += 1
            return False
        if kind.left_out:
            record.msg = f"{record.getMessage()} [{kind.left_out} more like it in {now - kind.last:.0f} s]"
            record.args = ()
        kind.left_out, kind.last, kind.gap = 0, now, min(2 * kind.gap, LONGEST_SECONDS)
        return True
