"""Features of past moments by the Python reader are what `pin_features` says of these moments."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pintally.features import ClickHouseAddress, FeatureReader, UnknownFeature, WrongColumn, WrongTime
from pintally.schemas.actions import Action
from pintally.sinks.reads.online import feature_types
from tests.features.conftest import CUT, FACTS
from tests.features.kinds import KINDS, MAKE, TYPES, rows
from tests.sinks.known import TEN, published_at
from tests.sinks.sealing import HOUR, read

pytestmark = pytest.mark.xdist_group("features")

PAIRS = [
    (pin, published_at(CUT - TEN * back) + timedelta(milliseconds=moved))
    for pin, back, moved in [(8, 3, 0), (7, 3, 1), (8, 2, -1), (9, 29, 0), (12345, 0, 5), (8, 3, 0), (7, 0, 3_600_000)]
]


def entities(kind: str, pairs: list[tuple[int, datetime]]) -> Any:
    pins, moments = zip(*pairs, strict=True)
    return MAKE[kind]({"label": list(range(len(pins))), "pin_id": list(pins), "event_timestamp": list(moments)})


def of_the_view(known: ClickHouseAddress, pin: int, moment: datetime) -> list[Any]:
    names = ", ".join(feature_types())
    at = moment.strftime("%F %T.%f")[:-3]
    found = read(known, f"SELECT {names}, as_of FROM pin_features(as_of = '{at}') WHERE pin_id = {pin}")
    return list(found[0]) if found else [None if "rate" in name else 0 for name in feature_types()]


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_has_what_was_known_at_its_moment(known: ClickHouseAddress, reader: FeatureReader, kind: str) -> None:
    given = entities(kind, PAIRS)
    answer = reader.get_historical_features(given)
    assert type(answer) is TYPES[kind]
    found = rows(answer)
    assert [(row["label"], row["pin_id"]) for row in found] == [(at, pin) for at, (pin, _) in enumerate(PAIRS)]
    for row, (pin, moment) in zip(found, PAIRS, strict=True):
        expected = of_the_view(known, pin, moment)
        assert [row[name] for name in (*feature_types(), "as_of")][: len(expected)] == expected
    assert [(CUT - row["as_of"].timestamp()) / TEN for row in found] == [3, 3, 3, 29, 0, 3, 0]


def test_hindsight_adds_what_arrived_after_the_cut(reader: FeatureReader) -> None:
    cut = CUT - 4 * TEN
    frame = entities("pandas", [(pin, published_at(cut)) for pin in range(7, 12)])
    honest, hindsight = (
        rows(reader.get_historical_features(frame, ["saves_1h", "clicks_1h", "closeups_1h"], known=known))
        for known in ("arrived", "event")
    )
    for row, more, pin in zip(honest, hindsight, range(7, 12), strict=True):
        for action in Action:
            of_pin = [fact for fact in FACTS if (fact.pin, fact.action) == (pin, action)]
            happened = [fact for fact in of_pin if cut - HOUR <= fact.happened < cut]
            assert more[f"{action.column}_1h"] == sum(fact.events for fact in happened)
            assert row[f"{action.column}_1h"] == sum(fact.events for fact in happened if fact.arrived < cut)
        assert row["as_of"] == more["as_of"]
    assert honest != hindsight


def test_a_clock_that_there_is_not_is_refused(reader: FeatureReader) -> None:
    with pytest.raises(WrongTime, match=r"known='all' says of no clock\n  Choose 'arrived'"):
        reader.get_historical_features(entities("pandas", PAIRS), known="all")  # type: ignore[arg-type]  # on purpose


def test_what_was_served_is_what_is_asked_later(reader: FeatureReader) -> None:
    online = reader.get_online_features([7, 8, 9, 10])
    later = reader.get_historical_features(online[["pin_id"]].assign(event_timestamp=online["published_at"]))
    assert rows(later[[*feature_types(), "as_of"]]) == rows(online[[*feature_types(), "as_of"]])


def test_only_the_features_that_are_asked_for_come_and_each_once(reader: FeatureReader) -> None:
    names = ["pin_features:saves_7d", "clicks_1h", "saves_7d"]
    answer = reader.get_historical_features(entities("polars", PAIRS), names)
    assert answer.columns == ["label", "pin_id", "event_timestamp", "saves_7d", "clicks_1h", "as_of"]
    several: Any = np.array(names)
    assert reader.get_historical_features(entities("polars", PAIRS), several).equals(answer)
    with pytest.raises(UnknownFeature, match="no feature '7'"):
        reader.get_historical_features(entities("polars", PAIRS), [7])  # type: ignore[list-item]  # on purpose


def test_no_rows_are_no_rows_and_have_the_same_types(reader: FeatureReader) -> None:
    some = entities("polars", PAIRS)
    assert reader.get_historical_features(some[:0]).schema == reader.get_historical_features(some).schema


def test_moments_before_the_first_cut_are_refused(reader: FeatureReader) -> None:
    early = published_at(CUT - 30 * TEN) - timedelta(milliseconds=1)
    said = r"1 of 8 values of 'event_timestamp' are before the first cut, which was published at 20.*\n  Leave out"
    with pytest.raises(WrongTime, match=said):
        reader.get_historical_features(entities("pandas", [*PAIRS, (7, early)]))


def test_the_clock_of_who_asks_may_be_ahead_as_the_view_allows(reader: FeatureReader) -> None:
    soon = entities("pandas", [(8, datetime.now(UTC) + timedelta(seconds=20))])
    now = rows(reader.get_online_features([8]))[0]
    [later] = rows(reader.get_historical_features(soon))
    assert {name: later[name] for name in feature_types()} == {name: now[name] for name in feature_types()}


def test_moments_in_the_future_are_refused(reader: FeatureReader) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(WrongTime, match=r"1 of 8 values of 'event_timestamp' are in the future"):
        reader.get_historical_features(entities("arrow", [*PAIRS, (7, later)]))


def test_what_cannot_be_asked_is_refused_before_clickhouse_is() -> None:
    nowhere = FeatureReader(ClickHouseAddress(host="127.0.0.1", port=1))
    frame = entities("pandas", PAIRS)
    with pytest.raises(WrongColumn, match=r"has a column 'saves_7d' already\n  Rename it"):
        nowhere.get_historical_features(frame.assign(saves_7d=1), ["saves_7d"])
    with pytest.raises(WrongColumn, match="no column 'event_timestamp'"):
        nowhere.get_historical_features(frame.rename(columns={"event_timestamp": "at"}))
    with pytest.raises(UnknownFeature, match="no feature 'likes_7d'"):
        nowhere.get_historical_features(frame, ["likes_7d"])
