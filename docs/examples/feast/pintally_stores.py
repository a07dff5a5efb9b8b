"""Two stores of Feast that answer from Pintally's views: what was known at each moment, and what is known now.

Feast joins features by event time; what was written later can be among them. These stores leave the join to Pintally,
which knows what was known when. So training and serving get the same numbers.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from feast import FeatureView, RepoConfig, ValueType
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel

from pintally.features import FeatureReader
from pintally.features.names import types_of


class PintallySource(DataSource):
    """The views; the stores know where they are."""

    def source_type(self) -> Any:
        """A source that Feast itself does not know."""
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> "PintallySource":
        """Reads it from the registry."""
        return PintallySource(name=data_source.name, timestamp_field=data_source.timestamp_field)

    def _to_proto_impl(self) -> DataSourceProto:
        made = DataSourceProto(name=self.name, type=DataSourceProto.CUSTOM_SOURCE, timestamp_field=self.timestamp_field)
        made.data_source_class_type = "pintally_stores.PintallySource"
        made.custom_options.configuration = b"{}"
        return made

    def validate(self, config: RepoConfig) -> None:
        """The schema of the feature view is that of the views."""

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Types of ClickHouse as Feast's."""
        return lambda kind: ValueType.INT64 if kind == "UInt64" else ValueType.DOUBLE


class PintallyOfflineStoreConfig(FeastConfigBaseModel):
    """Nothing to set: the variables PINTALLY_CLICKHOUSE_* say where to ask."""

    type: Literal["pintally_stores.PintallyOfflineStore"] = "pintally_stores.PintallyOfflineStore"


class PintallyOnlineStoreConfig(FeastConfigBaseModel):
    """Nothing to set."""

    type: Literal["pintally_stores.PintallyOnlineStore"] = "pintally_stores.PintallyOnlineStore"


class AsKnown(RetrievalJob):
    """One question about past moments, asked when its answer is wanted."""

    full_feature_names = False
    on_demand_feature_views: Sequence[Any] = ()
    metadata = None

    def __init__(self, entity_df: pd.DataFrame, features: list[str], prefix: str) -> None:
        self._entity_df = entity_df
        self._features = features
        self._prefix = prefix

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        asked = self._entity_df.assign(event_timestamp=pd.to_datetime(self._entity_df["event_timestamp"], utc=True))
        with FeatureReader() as reader:
            found = reader.get_historical_features(asked, self._features)
        counts = {name: "int64" for name, kind in types_of(self._features).items() if kind == "UInt64"}
        return found.drop(columns="as_of").astype(counts).rename(columns={n: self._prefix + n for n in self._features})

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return pa.Table.from_pandas(self._to_df_internal(timeout), preserve_index=False)


class PintallyOfflineStore(OfflineStore):
    """Training: what was known of each pin at the `event_timestamp` of its row."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        **unused: Any,
    ) -> RetrievalJob:
        """One row for each row of the frame. Raises TypeError for a query in place of a frame."""
        if not isinstance(entity_df, pd.DataFrame):
            raise TypeError(f"entity_df is a {type(entity_df).__name__}: give a pandas.DataFrame")
        names = [reference.partition(":")[2] for reference in feature_refs]
        return AsKnown(entity_df, names, "pin_features__" if full_feature_names else "")


class PintallyOnlineStore(OnlineStore):
    """Serving: what is known at the newest cut."""

    def __init__(self) -> None:
        self._reader = FeatureReader()

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """A row for each key, dated with the cut."""
        names = requested_features or [field.name for field in table.schema if field.name != "pin_id"]
        pins = [key.entity_values[0].int64_val for key in entity_keys]
        found = self._reader.get_online_features(pins, names, frame="arrow").to_pylist()
        types = types_of(names)
        return [
            (row["as_of"].astimezone(UTC), {name: _value(row[name], types[name]) for name in names}) for row in found
        ]

    def online_write_batch(self, *unused: Any) -> None:
        """Refused: workers write, and nobody else."""
        raise NotImplementedError("Pintally's workers write these features; there is nothing to materialize")

    def update(self, *unused: Any, **also_unused: Any) -> None:
        """Nothing is made for a feature view."""

    def teardown(self, *unused: Any, **also_unused: Any) -> None:
        """Nothing is there to be removed."""
        self._reader.close()


def _value(value: Any, kind: str) -> Value:
    if value is None:
        return Value()
    return Value(int64_val=value) if kind == "UInt64" else Value(double_val=value)
