"""Pins and moments are taken from frames, columns and lists of each kind, or refused with what to write instead."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pintally.features.entities import column, moment, moments_in, pins_in, pins_of
from pintally.features.errors import NaiveTimestamps, NotAFrame, WrongColumn
from pintally.features.frames import framed, opened, with_columns
from tests.features.kinds import KINDS, MAKE, TYPES, rows

LARGEST = (1 << 64) - 1
MOMENT = datetime(2026, 11, 28, 23, 40, 0, 123456, UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS = 1_795_909_200_123_456


@pytest.mark.parametrize("kind", KINDS)
def test_pins_keep_all_64_bits(kind: str) -> None:
    frame = opened(MAKE[kind]({"pin_id": np.array([0, LARGEST], np.uint64)}))
    assert pins_in(column(frame, "pin_id"), "pin_id").tolist() == [0, LARGEST]


def test_pins_in_integers_of_128_bits_are_those_that_fit() -> None:
    assert pins_of(pl.Series([0, LARGEST], dtype=pl.Int128))[0].tolist() == [0, LARGEST]
    for wrong in (LARGEST + 1, -1):
        with pytest.raises(WrongColumn, match=f"holds {wrong}: pins are whole numbers"):
            pins_of(pl.Series([5, wrong], dtype=pl.Int128))


@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_those_of_the_time_zone(kind: str) -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    for moments in ([MOMENT], [MOMENT.astimezone(kathmandu)]):
        frame = opened(MAKE[kind]({"event_timestamp": pd.Series(moments) if kind == "pandas" else moments}))
        assert moments_in(column(frame, "event_timestamp"), "event_timestamp").tolist() == [MICROSECONDS]
        assert moment(moments[0], "start") == MICROSECONDS


def test_nanoseconds_are_rounded_down() -> None:
    frame = opened(pd.DataFrame({"t": pd.to_datetime(["2026-11-28T23:40:00.123456999Z"])}))
    assert moments_in(column(frame, "t"), "t").tolist() == [MICROSECONDS]


@pytest.mark.parametrize("kind", KINDS)
def test_times_without_a_time_zone_are_refused(kind: str) -> None:
    frame = opened(MAKE[kind]({"event_timestamp": [MOMENT.replace(tzinfo=None)]}))
    with pytest.raises(NaiveTimestamps, match=r"'event_timestamp' has times without a time zone\n  Say which .*UTC"):
        moments_in(column(frame, "event_timestamp"), "event_timestamp")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [["2026-11-28"], [1_795_909_200], [MOMENT.date()]])
def test_what_is_no_time_is_refused(kind: str, values: list[Any]) -> None:
    frame = opened(MAKE[kind]({"t": values}))
    with pytest.raises(WrongColumn, match=r"'t' is of type .*, not of times"):
        moments_in(column(frame, "t"), "t")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[1.0], ["1"], [-1], [True]])
def test_what_is_no_pin_is_refused(kind: str, values: list[Any]) -> None:
    frame = opened(MAKE[kind]({"pin_id": values}))
    with pytest.raises(WrongColumn, match=r"'pin_id' (is of type|holds -1).*: pins are whole numbers.*\n  Read them"):
        pins_in(column(frame, "pin_id"), "pin_id")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_is_named_beside_those_that_there_are(kind: str) -> None:
    with pytest.raises(WrongColumn, match=r"no column 'pin_id', it has 'pin', 'label'\n  Name the column"):
        column(opened(MAKE[kind]({"pin": [1], "label": [0]})), "pin_id")


@pytest.mark.parametrize("kind", KINDS)
def test_nulls_are_refused(kind: str) -> None:
    values = pd.array([1, None], "UInt64") if kind == "pandas" else [1, None]
    with pytest.raises(WrongColumn, match="'pin_id' holds 1 nulls"):
        column(opened(MAKE[kind]({"pin_id": values})), "pin_id")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ([7, 8], None),
        ((np.uint64(7), 8), None),
        (range(7, 9), None),
        (np.array([7, 8], np.int32), None),
        (pd.Series([7, 8]), "pandas"),
        (pd.Index([7, 8]), "pandas"),
        (pl.Series([7, 8]), "polars"),
        (pa.array([7, 8]), "arrow"),
        (pa.chunked_array([[7], [8]]), "arrow"),
    ],
)
def test_pins_are_taken_from_lists_and_columns(given: Any, kind: str | None) -> None:
    pins, found = pins_of(given)
    assert (pins.tolist(), pins.dtype, found) == ([7, 8], np.dtype(np.uint64), kind)


@pytest.mark.parametrize(
    "given",
    [
        7,
        "7",
        b"7",
        None,
        {7: 8},
        pd.DataFrame({"pin_id": [7]}),
        pl.LazyFrame(),
        np.array(7),
        np.array([[7]]),
    ],
)
def test_what_is_no_list_of_pins_is_refused(given: Any) -> None:
    with pytest.raises(NotAFrame, match="Give a list of numbers"):
        pins_of(given)


@pytest.mark.parametrize("given", [[7.0], ["7"], [None], [True], [-1], [1 << 64], np.array([7.5])])
def test_a_list_of_something_else_than_pins_is_refused(given: Any) -> None:
    with pytest.raises(WrongColumn, match="pins are whole numbers from 0"):
        pins_of(given)


def test_no_pins_are_no_pins() -> None:
    none: tuple[Any, ...] = ([], pd.Series([]), pd.Series([], dtype="uint64"), pl.Series([]), np.array([]))
    assert [pins_of(given)[0].tolist() for given in none] == [[]] * len(none)


@pytest.mark.parametrize("given", [[{"pin_id": 1}], {"pin_id": [1]}, pl.LazyFrame({"pin_id": [1]}), 7, pd.Series([1])])
def test_what_is_no_frame_is_refused(given: Any) -> None:
    with pytest.raises(NotAFrame, match=r"is no frame of rows\n  Give a pandas.DataFrame"):
        opened(given)


NEW = {
    "saves_7d": np.array([3, LARGEST], np.uint64),
    "save_rate_7d": np.array([np.nan, 0.5]),
    "as_of": np.array([MICROSECONDS, 0]).astype("datetime64[us]"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_in_comes_out_with_the_new_columns_behind(kind: str) -> None:
    given = {"label": ["b", "a"], "pin_id": [2, 1]}
    made = with_columns(opened(MAKE[kind](given)), NEW)
    assert type(made) is TYPES[kind]
    assert rows(made) == [
        {"label": "b", "pin_id": 2, "saves_7d": 3, "save_rate_7d": None, "as_of": MOMENT},
        {
            "label": "a",
            "pin_id": 1,
            "saves_7d": LARGEST,
            "save_rate_7d": 0.5,
            "as_of": datetime(1970, 1, 1, tzinfo=UTC),
        },
    ]


def test_the_index_of_pandas_stays() -> None:
    made = with_columns(opened(pd.DataFrame({"pin_id": [2, 1]}, index=[7, 7])), NEW)
    assert made.index.tolist() == [7, 7]
    assert made["saves_7d"].tolist() == [3, LARGEST]


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_made_of_the_kind_that_is_asked_for(kind: Any) -> None:
    made = framed(NEW, kind)
    assert type(made) is TYPES[kind]
    assert [row["save_rate_7d"] for row in rows(made)] == [None, 0.5]
    assert rows(made)[0]["as_of"] == MOMENT


def test_a_kind_of_frame_that_there_is_not_is_refused() -> None:
    with pytest.raises(NotAFrame, match=r"no kind of frame 'spark'\n  Choose one of pandas, polars, arrow"):
        framed(NEW, "spark")  # type: ignore[arg-type]  # on purpose
