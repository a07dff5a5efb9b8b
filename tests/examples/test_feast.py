"""docs/examples/feast: Feast serves what the views say now, and trains on what they said at each moment."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from pintally.features import FeatureReader
from pintally.streams.settings import Settings
from tests.features.kinds import rows
from tests.support.examples import EXAMPLES, run

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600), pytest.mark.xdist_group("examples")]

NAMES = ["saves_1h", "closeups_24h", "save_rate_24h", "saves_decayed_6h", "trend_1h"]


def test_feast_serves_and_trains_on_the_same_numbers_as_the_views(reading: Settings, tmp_path: Path) -> None:
    repository = tmp_path / "feast"
    shutil.copytree(EXAMPLES / "feast", repository)
    with FeatureReader(reading.clickhouse) as reader:
        [first] = rows(reader.top("1h", k=1))
        now = rows(reader.get_online_features([first["pin_id"]], NAMES))[0]
        moments = [first["published_at"] - timedelta(minutes=minutes) for minutes in (0, 25, 125)]
        asked = pd.DataFrame({"pin_id": first["pin_id"], "event_timestamp": moments})
        then = rows(reader.get_historical_features(asked, NAMES))
    arguments = (",".join(NAMES), str(first["pin_id"]), *(moment.isoformat() for moment in moments))
    printed = run(Path(__file__).with_name("feast_runs.py"), *arguments, settings=reading, folder=repository)
    online, known, full = json.loads(printed.splitlines()[-1])
    assert [online[name][0] for name in NAMES] == [now[name] for name in NAMES]
    assert [online[name][1] for name in NAMES] == [0, 0, None, 0, 0]
    assert [row["label"] for row in known] == [0, 1, 2]
    assert [[row[name] for name in NAMES] for row in known] == [[row[name] for name in NAMES] for row in then]
    assert len({row["closeups_24h"] for row in known}) > 1
    assert full[-len(NAMES) :] == [f"pin_features__{name}" for name in NAMES]
