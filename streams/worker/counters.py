"""What a worker counts of itself, by name: these are its metrics.

They can be kept in a file (`pintally worker --counters FILE`), which is JSON and replaced whole at each change. A
worker goes on from what its file holds, so that no restart takes a number back.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pintally.schemas.errors import PintallyError

Name = Literal[
    "starts",  # processes that could begin: addresses, topics and rights are good
    "ready",  # no counter: 1 while partitions are given out and counting goes on, 0 from the start until then
    "assignments",  # times that the group gave out partitions
    "restores",  # sources whose state was made anew from the log
    "states_kept",  # sources whose state outlived a rebalance
    "ledger_waits",  # times that the ledger or the log's ends could not be read, and were asked for again
    "flushes",  # that succeeded
    "flushed_cells",  # rows of those
    "flushes_failed",  # to be repeated
    "chunks_repeated",  # refused: they begin below the position
    "chunks_ahead",  # refused: they begin beyond the position
    "seeks",  # because a chunk was missing
    "hours_sealed",  # for the first time or again
    "hours_corrected",  # of those: their counts differ from what was sealed before
    "hours_unsettled",  # minutes kept changing; the next sealing tries again
    "cuts_sealed",  # published: what arrived before them is known
    "features_corrected",  # buckets, hours and days sealed again whose counts differ from what was sealed before
    "features_unsettled",  # their cells kept changing; the next sealing tries again
    "pauses",  # of reading, because too many cells were pending
    "resumptions",
    "sessions_expired",  # silences longer than a session, after which a worker ends itself
    "sink_rolled_back",  # times that the ledger was older than what was recorded
    "restarts",  # a worker ended itself to be started anew
    "refusals",  # a worker ended itself and asks for a person
]


class Counters:
    """Numbers by name. Any thread may count."""

    def __init__(self) -> None:
        self._values: Counter[str] = Counter()
        self._file: Path | None = None
        self._turn = threading.Lock()

    def add(self, name: Name, by: int = 1) -> None:
        """Count `by` more."""
        with self._turn:
            self._values[name] += by
            self._write()

    def set(self, name: Name, value: int) -> None:
        """Of what is no counter."""
        with self._turn:
            self._values[name] = value
            self._write()

    def __getitem__(self, name: Name) -> int:
        return self._values[name]

    def keep_in(self, file: Path) -> None:
        """Go on from what the file holds, and keep it up to date. Raises PintallyError if that cannot be done."""
        with self._turn:
            try:
                self._values.update(read(file))
                _write(file, self._values)
            except (OSError, ValueError, TypeError) as error:
                raise PintallyError(
                    f"--counters {file}: counters cannot be kept there: {error}",
                    "Name a file that this user may write, and that is new or one of a worker before.",
                ) from error
            self._file = file

    def _write(self) -> None:
        if self._file:
            with suppress(OSError):  # a full disk stops no counting; the next change writes all of it
                _write(self._file, self._values)


def read(file: Path) -> dict[str, int]:
    """What a worker's file holds; nothing if there is none. Raises ValueError if it is not a worker's."""
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return {}


def _write(file: Path, values: Mapping[str, int]) -> None:
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(values))
    os.replace(new, file)


counters = Counters()  # of this process
