"""Pairs of a pin and a moment: which of them can be asked about."""

from datetime import UTC, datetime
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from pintally.features.entities import EVENT_TIMESTAMP
from pintally.features.errors import WrongTime
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.cuts import AHEAD_MS, IS_KEPT
from pintally.sinks.reads.pairs import Known

# Cuts that views of features still know, and the clock that dates them.
KNOWN: Final = f"""
SELECT count(), toUnixTimestamp64Micro(toDateTime64(min(published_at), 6, 'UTC')), toUnixTimestamp64Micro(now64(6))
FROM cuts
WHERE {IS_KEPT}
"""


def refuse_unknown_clock(known: str) -> None:
    """Raises WrongTime for a word that says neither of the two clocks."""
    if known not in get_args(Known):
        raise WrongTime(
            f"known={known!r} says of no clock",
            "Choose 'arrived': what had arrived by the cut; or 'event': what had happened by then, with hindsight.",
        )


def refuse_unknowable(connection: Connection, moments: NDArray[np.int64]) -> None:
    """Raises WrongTime for moments before the first cut, or in the future."""
    cuts, first, now = connection.one(KNOWN)
    if not len(moments):
        return
    if not cuts:
        raise WrongTime("no cut is published yet", "Start a worker; it publishes one every ten minutes.")
    if early := int(np.count_nonzero(moments < first)):
        raise WrongTime(
            f"{early} of {len(moments)} values of {EVENT_TIMESTAMP!r} are before the first cut, which was published at "
            f"{_said(first)}: nothing was known yet. The earliest is {_said(moments.min())}",
            f"Leave out the rows before {_said(first)}.",
        )
    if late := int(np.count_nonzero(moments > now + AHEAD_MS * 1000)):
        raise WrongTime(
            f"{late} of {len(moments)} values of {EVENT_TIMESTAMP!r} are in the future. The latest is "
            f"{_said(moments.max())}; the clock of ClickHouse shows {_said(now)}",
            "Leave out these rows; for the present use get_online_features.",
        )


def _said(microseconds: Any) -> str:
    return f"{datetime.fromtimestamp(int(microseconds) / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
