"""Asks ClickHouse, on one connection to each server, and answers with frames."""

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from pintally.features.breakdowns import Breakdown, Resolution, dimension_of
from pintally.features.entities import EVENT_TIMESTAMP, PIN_ID, column, moment, moments_in, pins_in, pins_of
from pintally.features.errors import WrongTime
from pintally.features.experiments import results_columns
from pintally.features.frames import Kind, framed, opened, with_columns
from pintally.features.historical import refuse_unknowable, refuse_unknown_clock
from pintally.features.names import AS_OF, asked_for, refuse_taken, types_of
from pintally.features.servers import Servers
from pintally.features.tops import WindowName, columns_of, cut_columns, number_of, ranking_of, window_of
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.reads.all_shards import counts_of, online_of, pairs_of, top_of
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.experiments import read_results
from pintally.sinks.reads.pairs import Known

Frame = TypeVar("Frame")  # of pandas, Polars or Arrow


class FeatureReader:
    """Keeps one connection to each server for many questions. Threads that ask at once open further ones.

    `clickhouse` is where to ask and as whom, or the addresses of all shards in their order; what the variables
    PINTALLY_CLICKHOUSE_* say if it is left out. Every method raises SinkUnavailable if ClickHouse does not answer, and
    SinkError if it refuses.
    """

    def __init__(self, clickhouse: ClickHouseAddress | Sequence[ClickHouseAddress] | None = None) -> None:
        if isinstance(clickhouse, ClickHouseAddress):
            clickhouse = (clickhouse,)
        self._servers = Servers(clickhouse or _from_settings())

    def get_historical_features(
        self, entity_df: Frame, features: Sequence[str] | None = None, *, known: Known = "arrived"
    ) -> Frame:
        """Features as they were known at each moment, as `pintally.features.get_historical_features`."""
        frame, names = opened(entity_df), asked_for(features)
        refuse_taken(frame.columns, names)
        refuse_unknown_clock(known)
        pins = pins_in(column(frame, PIN_ID), PIN_ID)
        moments = moments_in(column(frame, EVENT_TIMESTAMP), EVENT_TIMESTAMP)

        cuts, found = pairs_of(self._servers, pins, moments, types_of(names), known, refuse_unknowable)
        made: Frame = with_columns(frame, {**found, AS_OF: cuts.astype("datetime64[s]").astype("datetime64[us]")})
        return made

    def get_online_features(
        self, pin_ids: Any, features: Sequence[str] | None = None, *, frame: Kind | None = None
    ) -> Any:
        """Features at the newest cut, as `pintally.features.get_online_features`."""
        types = types_of(asked_for(features))
        pins, kind = pins_of(pin_ids)
        found = online_of(self._servers, pins, types)
        _refuse_unknown(found.cuts[0], None)
        return framed({PIN_ID: pins, **found.columns, **cut_columns(found.cuts, found.at)}, frame or kind or "pandas")

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
        asked, ranking, k = window_of(window), ranking_of(by), number_of(k)
        if as_of is not None:
            moment(as_of, "as_of")
            if live:
                raise WrongTime("live and as_of exclude each other", "Leave out one of them.")
        found = top_of(self._servers, asked, ranking, k, as_of=as_of, live=live)
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
        found = counts_of(self._servers, resolution, first, last, pins, dimension)
        return framed(found, frame or kind or "pandas")

    def experiment(self, name: str, *, start: datetime, end: datetime, frame: Kind = "pandas") -> Any:
        """How the arms of an experiment differ, as `pintally.features.experiment`."""
        first, last = (-(-at // 10**6) for at in _range(start, end))  # hours start at a full second
        found = self._servers.ask(0, lambda connection: read_results(connection, name, first, last))
        return framed(results_columns(found), frame)

    def close(self) -> None:
        """Close the connections; the next question opens others."""
        self._servers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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


def _from_settings() -> Sequence[ClickHouseAddress]:
    from pintally.streams.settings import load_settings

    return load_settings(over_shards=True).clickhouse.shards
