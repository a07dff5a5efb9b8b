"""Top pins by the Python reader are those of the tables, as they are known at the moment that is asked about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pintally.features import FeatureReader, FeaturesError, NaiveTimestamps, SinkError, UnknownFeature, WrongTime
from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.reads.ranking import RANKINGS
from tests.features.conftest import CUT, FACTS
from tests.features.kinds import KINDS, TYPES, rows
from tests.sinks.known import TEN, published_at, truth
from tests.sinks.sealing import HOUR

pytestmark = pytest.mark.xdist_group("features")


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def expected(cut: int, start: int, end: int, by: str = "all", k: int = 100) -> list[list[int]]:
    return [[pin, *counts] for pin, counts in truth(FACTS, cut, start, end, RANKINGS[by], k)]


def pins(frame: Any) -> list[list[int]]:
    return [list(row.values())[: 1 + len(COUNTED)] for row in rows(frame)]


@pytest.mark.parametrize("by", RANKINGS)
def test_the_top_of_a_recent_window_is_that_of_the_events(reader: FeatureReader, by: str) -> None:
    answer = reader.top("24h", by, 3)
    assert pins(answer) == expected(CUT, CUT - 24 * HOUR, CUT + HOUR, by, 3)
    assert len(answer) == 3


def test_the_top_of_a_past_moment_is_what_was_known_then(reader: FeatureReader) -> None:
    cut = CUT - 20 * TEN
    answer = reader.top("1h", as_of=published_at(cut))
    assert pins(answer) == expected(cut, cut - HOUR, cut + HOUR) != pins(reader.top("1h"))
    assert {(row["as_of"], row["published_at"]) for row in rows(answer)} == {(utc(cut), published_at(cut))}
    assert pins(reader.top("1h", as_of=published_at(cut) - timedelta(milliseconds=1))) == expected(
        cut - TEN, cut - TEN - HOUR, cut
    )


@pytest.mark.parametrize("as_of", [datetime.now(UTC) + timedelta(days=1), datetime.max.replace(tzinfo=UTC)])
def test_a_moment_to_come_is_refused_as_the_view_refuses_it(reader: FeatureReader, as_of: datetime) -> None:
    """What will be known then is not known yet: asked again later, there would be another answer."""
    with pytest.raises(SinkError, match=r" is in the future: the clock of ClickHouse shows 20"):
        reader.top("1h", as_of=as_of)


def test_who_asks_for_all_pins_by_a_number_that_none_reaches_gets_them(reader: FeatureReader) -> None:
    assert rows(reader.top("24h", k=2**63)) == rows(reader.top("24h", k=1_000)) != []


@pytest.mark.parametrize("kind", KINDS)
def test_full_hours_have_their_top(reader: FeatureReader, kind: Any) -> None:
    start, end = CUT - 9 * HOUR, CUT - 3 * HOUR
    answer = reader.top((utc(start), utc(end)), frame=kind)
    assert type(answer) is TYPES[kind]
    assert pins(answer) == expected(CUT, start, end) != []
    assert {row["window_start"] for row in rows(answer)} == {utc(start)}


@pytest.mark.parametrize(
    ("window", "says"),
    [
        ("1d", r"no window '1d'\n  Choose one of today, 24h, 1h, 10m, or give \(start, end\)"),
        ((utc(CUT), utc(CUT)), "is not before end"),
        ((utc(CUT - TEN), utc(CUT)), r"start 20.* is no full hour"),
        ((utc(CUT),), r"the window has 1 times"),
    ],
)
def test_a_window_that_there_is_not_is_refused(reader: FeatureReader, window: Any, says: str) -> None:
    with pytest.raises(WrongTime, match=says):
        reader.top(window)


@pytest.mark.parametrize("k", [-1, 0, 2.5, "10", True, None])
def test_a_number_of_pins_that_there_is_not_is_refused(reader: FeatureReader, k: Any) -> None:
    """Less than none would leave out the last ones, without a word."""
    with pytest.raises(FeaturesError, match=rf"k is {k!r}\n  Give a whole number from 1 on"):
        reader.top("24h", k=k)


def test_questions_without_an_answer_are_refused(reader: FeatureReader) -> None:
    with pytest.raises(WrongTime, match=r"live and as_of exclude each other"):
        reader.top("1h", as_of=published_at(CUT), live=True)
    with pytest.raises(UnknownFeature, match=r"no count 'likes'\n  Choose one of all, saves, clicks, closeups, t"):
        reader.top("1h", "likes")
    with pytest.raises(WrongTime, match=r"is before the first cut: nothing was known yet\n  Ask for a later moment"):
        reader.top("1h", as_of=utc(CUT - 40 * TEN))
    with pytest.raises(NaiveTimestamps, match=r"as_of, .*, has no time zone"):
        reader.top("1h", as_of=utc(CUT).replace(tzinfo=None))
