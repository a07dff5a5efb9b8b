"""Asks ClickHouse, on one connection, and answers with frames."""

from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from pintally.features.breakdowns import Breakdown, Resolution, dimension_of
from pintally.features.entities import EVENT_TIMESTAMP, PIN_ID, column, moment, moments_in, pins_in, pins_of
from pintally.features.errors import WrongTime
from pintally.features.experiments import results_columns
from pintally.features.frames import Kind, framed, opened, with_columns
from pintally.features.historical import refuse_unknowable, refuse_unknown_clock
from pintally.features.names import AS_OF, asked_for, refuse_taken, types_of
from pintally.features.tops import WindowName, columns_of, cut_columns, ranking_of, window_of
from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.users import BEHIND_VIEWS
from pintally.sinks.reads.counts import read_counts
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.experiments import read_results
from pintally.sinks.reads.online import read_online
from pintally.sinks.reads.pairs import Known, read_pairs
from pintally.sinks.reads.tops import read_top

Answer = TypeVar("Answer")
Columns = dict[str, NDArray[Any]]
Pairs = tuple[NDArray[np.int64], Columns]
Online = tuple[Cut, Columns]
Frame = TypeVar("Frame")  # of pandas, Polars or Arrow


class FeatureReader:
    """Keeps one connection for many questions. Not to be shared between threads.

    `clickhouse` is where to ask and as whom; what the variables PINTALLY_CLICKHOUSE_* say if it is left out. Every
    method raises SinkUnavailable if ClickHouse does not answer, and SinkError if it refuses.
    """

    def __init__(self, clickhouse: ClickHouseAddress | None = None) -> None:
        self._address = clickhouse or _from_settings()
        self._connection: Connection | None = None

    def get_historical_features(
        self, entity_df: Frame, features: Sequence[str] | None = None, *, known: Known = "arrived"
    ) -> Frame:
        """Features as they were known at each moment, as `pintally.features.get_historical_features`."""
        frame, names = opened(entity_df), asked_for(features)
        refuse_taken(frame.columns, names)
        refuse_unknown_clock(known)
        pins = pins_in(column(frame, PIN_ID), PIN_ID)
        moments = moments_in(column(frame, EVENT_TIMESTAMP), EVENT_TIMESTAMP)

        def known_then(connection: Connection) -> Pairs:
            refuse_unknowable(connection, moments)
            return read_pairs(connection, pins, moments, types_of(names), known)

        cuts, found = self._ask(known_then)
        made: Frame = with_columns(frame, {**found, AS_OF: cuts.astype("datetime64[s]").astype("datetime64[us]")})
        return made

    def get_online_features(
        self, pin_ids: Any, features: Sequence[str] | None = None, *, frame: Kind | None = None
    ) -> Any:
        """Features at the newest cut, as `pintally.features.get_online_features`."""
        types = types_of(asked_for(features))
        pins, kind = pins_of(pin_ids)
        cut, found = self._ask(lambda connection: read_online(connection, pins, types))
        _refuse_unknown(cut, None)
        return framed({PIN_ID: pins, **found, **cut_columns(cut, len(pins))}, frame or kind or "pandas")

    def top(
        self,
        window: WindowName | tuple[datetime, datetime] = "1h",
        by: str = "all",
        k: int = 100,
        *,
        as_of: datetime | None = None,
        live: bool = False,
        frame: Kind = "pandas",
    ) -> Any:
        """The pins with the most engagement, as `pintally.features.top`."""
        asked, ranking = window_of(window), ranking_of(by)
        if as_of is not None:
            moment(as_of, "as_of")
        found = self._ask(lambda connection: read_top(connection, asked, ranking, k, as_of=as_of, live=live))
        _refuse_unknown(found.cut, as_of)
        return framed(columns_of(found), frame)

    def counts(
        self,
        pin_ids: Any = None,
        *,
        start: datetime,
        end: datetime,
        resolution: Resolution = "1h",
        by: Breakdown | None = None,
        frame: Kind | None = None,
    ) -> Any:
        """Counts of the windows that start in [start, end), as `pintally.features.counts`."""
        dimension, (first, last) = dimension_of(by, resolution), _range(start, end)
        pins, kind = (None, None) if pin_ids is None else pins_of(pin_ids)
        found = self._ask(lambda connection: read_counts(connection, resolution, first, last, pins, dimension))
        return framed(found, frame or kind or "pandas")

    def experiment(self, name: str, *, start: datetime, end: datetime, frame: Kind = "pandas") -> Any:
        """How the arms of an experiment differ, as `pintally.features.experiment`."""
        first, last = (at // 10**6 for at in _range(start, end))
        found = self._ask(lambda connection: read_results(connection, name, first, last))
        return framed(results_columns(found), frame)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """The answer to one question. A connection that was kept may be over: then it is asked again on a new one."""
        kept = self._connection is not None
        try:
            return self._ask_once(question)
        except SinkUnavailable:
            if not kept:
                raise
        return self._ask_once(question)

    def _ask_once(self, question: Callable[[Connection], Answer]) -> Answer:
        connection = self._connection or Connection(self._address, only_reads=True)
        self._connection = None  # an error, also in the middle of an answer, leaves none behind
        try:
            refuse_hidden_rows(connection, BEHIND_VIEWS)
            answer = question(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return answer


def _range(start: datetime, end: datetime) -> tuple[int, int]:
    first, last = moment(start, "start"), moment(end, "end")
    if first >= last:
        raise WrongTime(f"start {start.isoformat()} is not before end {end.isoformat()}", "Windows are [start, end).")
    return first, last


def _refuse_unknown(cut: Cut, as_of: datetime | None) -> None:
    if cut.published_at is None and as_of is None:
        raise WrongTime("no cut is published yet", "Start a worker; it publishes one every ten minutes.")
    if cut.published_at is None and as_of is not None:
        raise WrongTime(
            f"as_of {as_of.isoformat()} is before the first cut: nothing was known yet",
            "Ask for a later moment: SELECT min(published_at) FROM cuts.",
        )


def _from_settings() -> ClickHouseAddress:
    from pintally.streams.settings import load_settings

    return load_settings().clickhouse
