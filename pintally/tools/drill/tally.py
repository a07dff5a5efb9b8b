"""What happened to the workers, by their own logs."""

import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pintally.tools.engines.ready import wait_until

# What is counted, and the words of the log line that tells it.
WORDS = {
    "starts": "Worker ready",
    "merge_backs": "flush not recorded",
    "pauses": "reading pauses",
    "resumptions": "reading goes on",
    "sessions_expired": "longer than a session",
    "restarts_in_place": "this worker ends and starts anew",
    "ledger_went_back": "the ledger of ",
    "refusals": "this worker ends: ",
    "refolds": "folded again from",
    "states_kept": "state kept",
    "chunks_repeated": "repeated chunk",
    "chunks_missing": "gap before chunk",
    "seeks_again": "seeking again",
    "waits_for_ledger": "before counting begins",
    "joins": "Joined group",
    "refused_disk": "(code 243)",
    "refused_parts": "(code 252)",
    "refused_readonly": "(code 774)",
    "tracebacks": "Traceback (most recent call last)",
}
LONGEST = 200  # characters kept of an error


class Tally:
    """Counts lines of growing logs. Safe to use from several threads."""

    def __init__(self, logs: Iterable[Path]) -> None:
        self._read = dict.fromkeys(logs, 0)
        self._rest: dict[Path, bytes] = {}
        self._counts: dict[Path, Counter[str]] = {log: Counter() for log in self._read}
        self._errors: Counter[str] = Counter()  # what tracebacks end with
        self._in_traceback: set[Path] = set()
        self._turn = threading.Lock()

    def count(self, what: str, log: Path | None = None) -> int:
        """How often it was said by now, by one worker or by all."""
        with self._turn:
            self._update()
            return sum(counts[what] for path, counts in self._counts.items() if log in (None, path))

    def counts(self) -> dict[str, int]:
        """All of it."""
        with self._turn:
            self._update()
            total: Counter[str] = Counter()
            for counts in self._counts.values():
                total.update(counts)
            return {what: total[what] for what in WORDS}

    def errors(self) -> dict[str, int]:
        """What tracebacks ended with, and how often."""
        with self._turn:
            self._update()
            return dict(self._errors.most_common())

    def wait(self, what: str, above: int, seconds: float, log: Path | None = None) -> bool:
        """Wait until it was said more than `above` times; whether it was."""
        return wait_until(lambda: self.count(what, log) > above, seconds)

    def _update(self) -> None:
        for path, read in self._read.items():
            with path.open("rb") as log:
                log.seek(read)
                new = self._rest.get(path, b"") + log.read()
                self._read[path] = log.tell()
            lines, _, rest = new.rpartition(b"\n")
            self._rest[path] = rest
            for line in lines.decode(errors="replace").splitlines():
                self._counts[path].update(what for what, words in WORDS.items() if words in line)
                if WORDS["tracebacks"] in line:
                    self._in_traceback.add(path)
                elif path in self._in_traceback and line and not line[0].isspace():
                    self._in_traceback.remove(path)
                    self._errors[line[:LONGEST]] += 1
