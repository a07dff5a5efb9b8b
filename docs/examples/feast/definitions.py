"""The entity and the feature view: every feature that Pintally has, with its description."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, ValueType
from feast.types import Float64, Int64
from pintally_stores import PintallySource

from pintally.sinks.clickhouse.dictionary import views
from pintally.sinks.reads.online import feature_types

SAID = {column.name: column.comment for column in views()["pin_features_latest"].columns}

pin = Entity(name="pin", join_keys=["pin_id"], value_type=ValueType.INT64, description="A pin; Feast has no UInt64")

pin_features = FeatureView(
    name="pin_features",
    entities=[pin],
    ttl=timedelta(0),  # what was known at a moment, however old
    schema=[
        Field(name=name, dtype=Int64 if kind == "UInt64" else Float64, description=SAID[name])
        for name, kind in feature_types().items()
    ],
    source=PintallySource(name="pin_features", timestamp_field="as_of"),
    online=True,
)
