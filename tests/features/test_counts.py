"""Counts by the Python reader are those of the views, whatever kind of frame and however many pins are asked for."""

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from pintally.features import (
    ClickHouseAddress,
    FeatureReader,
    NaiveTimestamps,
    SinkError,
    SinkUnavailable,
    UnknownFeature,
    WrongTime,
)
from pintally.sinks.clickhouse.per_action import COUNTS
from pintally.sinks.reads import some_pins
from tests.features.kinds import KINDS, TYPES, rows
from tests.sinks.sealing import YESTERDAY, read

pytestmark = pytest.mark.xdist_group("features")

START = datetime.fromtimestamp(YESTERDAY, UTC)
END = START + timedelta(days=2)


def expected(known: ClickHouseAddress, resolution: str, where: str = "1") -> list[Any]:
    names = f"window_start, pin_id, {COUNTS}, is_final"
    return read(
        known,
        f"SELECT {names} FROM pin_engagement_{resolution} WHERE {where} ORDER BY window_start, pin_id",
    )


def plain(frame: Any) -> list[Any]:
    return [tuple(row.values()) for row in rows(frame)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("resolution", ["1m", "1h", "1d"])
def test_all_pins_are_as_the_views_show_them(
    known: ClickHouseAddress, reader: FeatureReader, kind: Any, resolution: Any
) -> None:
    asked = reader.counts(start=START, end=END, resolution=resolution, frame=kind)
    assert type(asked) is TYPES[kind]
    assert plain(asked) == expected(known, resolution) != []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("by", "resolution"), [("surface", "1h"), ("platform", "1h"), ("platform", "1d")])
def test_counts_by_surface_and_by_platform_are_as_the_views_show_them(
    known: ClickHouseAddress, reader: FeatureReader, kind: Any, by: Any, resolution: Any
) -> None:
    asked = reader.counts(start=START, end=END, resolution=resolution, by=by, frame=kind)
    shown = read(
        known,
        f"SELECT window_start, pin_id, toString(label), {COUNTS}, is_final FROM pin_breakdown_{resolution}"
        f" WHERE dimension = '{by}' ORDER BY window_start, pin_id, label",
    )
    assert by in rows(asked)[0]
    assert plain(asked) == shown != []
    empty = reader.counts([12345], start=START, end=END, resolution=resolution, by=by, frame=kind)
    assert (len(empty), list(nw.from_native(empty).columns)) == (0, list(nw.from_native(asked).columns))


def test_a_breakdown_that_there_is_not_is_refused(reader: FeatureReader) -> None:
    with pytest.raises(UnknownFeature, match="no breakdown by 'country'"):
        reader.counts(start=START, end=END, by="country")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(WrongTime, match="no breakdown of resolution '1m'"):
        reader.counts(start=START, end=END, resolution="1m", by="surface")


def test_a_resolution_that_there_is_not_is_refused(reader: FeatureReader) -> None:
    with pytest.raises(WrongTime, match=r"no counts of resolution '1w'\n  Choose one of 1m, 1h, 1d"):
        reader.counts(start=START, end=END, resolution="1w")  # type: ignore[arg-type]


def test_the_end_is_left_out_and_the_start_is_in(reader: FeatureReader) -> None:
    hour = START + timedelta(hours=3)
    asked = reader.counts([7, 8], start=hour, end=hour + timedelta(hours=19))
    assert [row["window_start"] for row in rows(asked)] == [hour, hour]
    assert rows(reader.counts([7], start=hour + timedelta(microseconds=1), end=hour + timedelta(hours=19))) == []


def test_only_the_pins_that_are_asked_for_are_there_and_each_once(
    known: ClickHouseAddress, reader: FeatureReader
) -> None:
    asked = reader.counts(pl.Series([8, 12345, 8]), start=START, end=END)
    assert isinstance(asked, pl.DataFrame)
    assert len(asked) == len(expected(known, "1h", "pin_id = 8")) > 1
    assert set(asked["pin_id"]) == {8}


def test_many_pins_are_asked_for_in_several_statements(reader: FeatureReader, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(reader.counts(range(1, 10_000), start=START, end=END))
    monkeypatch.setattr(some_pins, "AT_ONCE", 7)
    assert rows(reader.counts(range(1, 30), start=START, end=END)) == whole != []


@pytest.mark.parametrize("pins", [[], [999]])
def test_an_answer_without_rows_has_its_columns_and_their_types(reader: FeatureReader, pins: list[int]) -> None:
    none = reader.counts(pins, start=START, end=END, frame="polars")
    some = reader.counts([7], start=START, end=END, frame="polars")
    assert len(none) == 0 < len(some)
    assert none.schema == some.schema


def test_an_end_before_its_start_is_refused(reader: FeatureReader) -> None:
    with pytest.raises(WrongTime, match=r"is not before end .*\n  Windows are \[start, end\)"):
        reader.counts(start=END, end=END)
    with pytest.raises(NaiveTimestamps, match=r"start, .* has no time zone\n  Give one"):
        reader.counts(start=START.replace(tzinfo=None), end=END)


def test_a_reader_goes_on_after_its_connection_is_over(reader: FeatureReader) -> None:
    first = rows(reader.counts(start=START, end=END))
    assert 0 in reader._servers._connections
    reader._servers._connections[0]._client.connection.socket.shutdown(socket.SHUT_RDWR)
    assert rows(reader.counts(start=START, end=END)) == first
    reader.close()
    assert rows(reader.counts(start=START, end=END)) == first


def test_what_clickhouse_refuses_is_said_and_what_is_not_there_too(known: ClickHouseAddress) -> None:
    elsewhere = FeatureReader(known.model_copy(update={"database": "nowhere"}))
    with pytest.raises(SinkError, match=r"has no database 'nowhere'\n  Run pintally migrate"):
        elsewhere.counts(start=START, end=END)
    closed = FeatureReader(known.model_copy(update={"port": 1}))
    with pytest.raises(SinkUnavailable, match="PINTALLY_CLICKHOUSE_HOST"):
        closed.counts(start=START, end=END)
