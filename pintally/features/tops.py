"""What `top` is asked, and its answer as columns."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pintally.features.entities import PIN_ID, moment
from pintally.features.errors import FeaturesError, UnknownFeature, WrongTime
from pintally.features.names import AS_OF, PUBLISHED_AT
from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.ranking import RANKINGS, Ranking
from pintally.sinks.reads.tops import Top
from pintally.sinks.reads.windows import HOUR, Recent, Window

MOST = 10**9  # no window has as many pins
WindowName = Literal["today", "24h", "1h", "10m"]


def window_of(window: str | Sequence[datetime]) -> Recent | Window:
    """A window that moves with the cut, or [start, end) of full hours. Raises WrongTime, NaiveTimestamps."""
    if isinstance(window, str):
        if window not in get_args(WindowName):
            raise WrongTime(
                f"there is no window {window!r}",
                f"Choose one of {', '.join(get_args(WindowName))}, or give (start, end) of full hours.",
            )
        return Recent(window)
    if len(window) != 2:
        raise WrongTime(f"the window has {len(window)} times", "Give (start, end) of full hours.")
    start, end = (_hour(each, name) for each, name in zip(window, ("start", "end"), strict=True))
    if start >= end:
        raise WrongTime(f"start {window[0].isoformat()} is not before end {window[1].isoformat()}", "Exchange them.")
    return Window(start, end)


def ranking_of(by: str) -> Ranking:
    """What pins are sorted by. Raises UnknownFeature."""
    if by not in RANKINGS:
        raise UnknownFeature(f"there is no count {by!r}", f"Choose one of {', '.join(RANKINGS)}.")
    return RANKINGS[by]


def number_of(k: object) -> int:
    """How many pins are asked for. Raises FeaturesError."""
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
        raise FeaturesError(f"k is {k!r}", "Give a whole number from 1 on: how many pins.")
    return min(int(k), MOST)


def columns_of(top: Top) -> dict[str, NDArray[Any]]:
    """Pins and counts, the highest first; the start of the window and the cut in each row."""
    at = np.zeros(len(top.pins), np.int64)
    counts = np.array([(*pin.counts, *pin.trusted) for pin in top.pins], np.uint64).reshape(len(top.pins), len(COUNTED))
    return {
        PIN_ID: np.array([pin.pin_id for pin in top.pins], np.uint64),
        **{name: counts[:, place] for place, name in enumerate(COUNTED)},
        "window_start": _times([top.window.start * 10**6])[at],
        **cut_columns([top.cut], at),
    }


def cut_columns(cuts: Sequence[Cut], at: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The cut and when it was published, in each row; `at` has the place of the cut of each."""
    published = [0 if cut.published_at is None else moment(cut.published_at, PUBLISHED_AT) for cut in cuts]
    return {AS_OF: _times([cut.moment * 10**6 for cut in cuts])[at], PUBLISHED_AT: _times(published)[at]}


def _times(microseconds: Sequence[int]) -> NDArray[Any]:
    return np.array(microseconds, np.int64).astype("datetime64[us]")


def _hour(value: datetime, name: str) -> int:
    seconds, rest = divmod(moment(value, name), 10**6)
    if rest or seconds % HOUR:
        raise WrongTime(f"{name} {value.isoformat()} is no full hour", "Counts before the cut are known by the hour.")
    return seconds
