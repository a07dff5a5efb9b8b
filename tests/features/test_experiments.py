"""What the arms of an experiment did, by the Python reader: the hours that start in [start, end), and no other."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pintally.features import FeatureReader
from pintally.streams.settings import Settings
from tests.sinks.sealing import HOUR, write
from tests.sinks.test_experiments import HOUR as OF_EVENTS
from tests.sinks.test_experiments import rows

START = datetime.fromtimestamp(OF_EVENTS, UTC)
END = START + timedelta(seconds=HOUR)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("start", "end", "is_there"),
    [
        (START, END, True),
        (START - MOMENT, START + MOMENT, True),
        (START - timedelta(seconds=HOUR), START, False),
        (START + MOMENT, END, False),
    ],
)
def test_an_hour_is_in_the_span_that_it_starts_in(
    start: datetime, end: datetime, is_there: bool, stack: Settings
) -> None:
    write(stack.clickhouse, rows("checkout", np.full((2, 3, 256), 3.0)))
    with FeatureReader(stack.clickhouse) as reader:
        frame = reader.experiment("checkout", start=start, end=end)
    assert isinstance(frame, pd.DataFrame)
    assert ("saves" in set(frame["metric"])) is is_there


@pytest.mark.parametrize("end", [datetime(2106, 2, 8, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_any_span_may_be_asked_about(end: datetime, stack: Settings) -> None:
    """ClickHouse's times are of 1970 to 2106, and nothing was counted outside of them."""
    write(stack.clickhouse, rows("checkout", np.full((2, 3, 256), 3.0)))
    with FeatureReader(stack.clickhouse) as reader:
        for start in (datetime.min.replace(tzinfo=UTC), datetime(1970, 1, 1, 1, tzinfo=UTC), START):
            frame = reader.experiment("checkout", start=start, end=end)
            assert set(frame[frame["metric"] == "saves"]["value"]) == {768.0}
            assert len(reader.counts(start=start, end=end)) == 0
