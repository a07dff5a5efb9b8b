"""Features at the newest cut by the Python reader are those of the view, for each pin that is asked for."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pintally.features import ClickHouseAddress, FeatureReader, UnknownFeature, WrongTime
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.reads import some_pins
from pintally.sinks.reads.online import feature_types
from tests.features.conftest import CUT
from tests.features.kinds import TYPES, rows
from tests.sinks.known import published_at
from tests.sinks.sealing import read
from tests.support.engines import TestEngines, drop_database

pytestmark = pytest.mark.xdist_group("features")


def of_the_view(known: ClickHouseAddress, names: list[str]) -> dict[int, list[Any]]:
    found = read(known, f"SELECT pin_id, {', '.join(names)} FROM pin_features_latest")
    return {pin: values for pin, *values in found}


def test_each_pin_has_its_row_in_the_order_that_was_asked_for(known: ClickHouseAddress, reader: FeatureReader) -> None:
    names = list(feature_types())
    expected = of_the_view(known, names)
    answer = rows(reader.get_online_features([8, 7, 9, 8]))
    assert set(expected) >= {7, 8, 9}
    assert [row["pin_id"] for row in answer] == [8, 7, 9, 8]
    assert [[row[name] for name in names] for row in answer] == [expected[row["pin_id"]] for row in answer]


def test_each_row_says_its_cut_and_the_moment_that_gives_the_same_numbers_later(
    known: ClickHouseAddress, reader: FeatureReader
) -> None:
    [row] = rows(reader.get_online_features([7], ["saves_24h"]))
    assert (row["as_of"], row["published_at"]) == (datetime.fromtimestamp(CUT, UTC), published_at(CUT))
    moment = row["published_at"].strftime("%F %T")
    later = read(known, f"SELECT saves_24h, as_of FROM pin_features(as_of = '{moment}') WHERE pin_id = 7")
    assert later == [(row["saves_24h"], row["as_of"])]


def test_a_pin_without_events_has_none(reader: FeatureReader) -> None:
    [row] = rows(reader.get_online_features([12345]))
    values = {name: row[name] for name in feature_types()}
    assert {value for name, value in values.items() if "rate" in name} == {None}
    assert {value for name, value in values.items() if "rate" not in name} == {0}


@pytest.mark.parametrize(
    ("pins", "frame", "kind"),
    [
        ([7], None, "pandas"),
        ([7], "arrow", "arrow"),
        (pl.Series([7]), None, "polars"),
        (pl.Series([7]), "pandas", "pandas"),
        (pa.array([7]), None, "arrow"),
        (pd.Series([7], index=[5]), None, "pandas"),
    ],
)
def test_what_kind_of_column_goes_in_comes_out(reader: FeatureReader, pins: Any, frame: Any, kind: str) -> None:
    answer = reader.get_online_features(pins, ["saves_7d", "pin_features:save_rate_7d"], frame=frame)
    assert type(answer) is TYPES[kind]
    assert list(rows(answer)[0]) == ["pin_id", "saves_7d", "save_rate_7d", "as_of", "published_at"]


def test_counts_are_whole_numbers_and_no_pins_have_the_same_types(reader: FeatureReader) -> None:
    some, none = (reader.get_online_features(pins, frame="polars") for pins in ([7], []))
    assert none.schema == some.schema
    assert {some.schema[name] for name in feature_types() if name.startswith("saves_") and "dec" not in name} == {
        pl.UInt64
    }


def test_many_pins_are_asked_for_in_several_statements_at_one_cut(
    reader: FeatureReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows(reader.get_online_features(np.arange(30)))
    monkeypatch.setattr(some_pins, "AT_ONCE", 4)
    assert rows(reader.get_online_features(np.arange(30))) == whole


def test_a_feature_that_there_is_not_is_named_beside_those_that_there_are(reader: FeatureReader) -> None:
    with pytest.raises(
        UnknownFeature, match=r"no feature 'saves_1d'\n  Did you mean 'saves_.*'\? There are: saves_1h, "
    ):
        reader.get_online_features([7], ["saves_7d", "saves_1d"])
    with pytest.raises(UnknownFeature, match=r"features is the text 'saves_7d'\n  Give a list: \['saves_7d'\]"):
        reader.get_online_features([7], "saves_7d")


def test_before_the_first_cut_there_are_no_features(engines: TestEngines, known: ClickHouseAddress) -> None:
    empty = known.model_copy(update={"database": f"{known.database}e"})
    migrate(empty)
    try:
        with (
            FeatureReader(empty) as reader,
            pytest.raises(WrongTime, match=r"no cut is published yet\n  Start a worker"),
        ):
            reader.get_online_features([7])
    finally:
        drop_database(engines.addresses, empty.database)
