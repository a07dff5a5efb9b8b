"""Applies docs/examples/feast, and prints as JSON what Feast serves, and what it gives for training.

Arguments: the names of features, then a pin, and then moments (ISO 8601).
"""

import contextlib
import json
import sys

import pandas as pd
from feast import FeatureStore
from feast.cli.cli import cli


def main() -> None:
    """Online for the pin and one that there is not; as of each moment for the pin."""
    features, pin, *moments = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        cli(["apply"], standalone_mode=False)
    store = FeatureStore(repo_path=".")
    names = [f"pin_features:{name}" for name in features.split(",")]
    online = store.get_online_features(names, [{"pin_id": int(pin)}, {"pin_id": 1}]).to_dict()
    times = pd.to_datetime(moments, utc=True)
    asked = pd.DataFrame({"pin_id": int(pin), "event_timestamp": times, "label": range(len(times))})
    known = store.get_historical_features(asked, names).to_df()
    full = store.get_historical_features(asked, names, full_feature_names=True).to_df()
    rows = known.drop(columns="event_timestamp").astype(object)
    print(json.dumps([online, rows.where(rows.notna(), None).to_dict("records"), list(full.columns)]))


if __name__ == "__main__":
    main()
