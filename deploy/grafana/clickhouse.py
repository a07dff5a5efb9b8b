"""A query of the plugin grafana-clickhouse-datasource; Grafana's builders know only the plugins that come with it."""

from typing import Any, Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.runtime import DataqueryConfig
from grafana_foundation_sdk.cog.variants import Dataquery

PLUGIN: Final = "grafana-clickhouse-datasource"
VERSION: Final = "4.20.0"


class Sql(Dataquery):
    """SQL as the plugin's text editor keeps it. `shape` is timeseries or table, `format` the plugin's number of it."""

    def __init__(self, sql: str, shape: str, ref_id: str) -> None:
        self.sql = sql
        self.shape = shape
        self.ref_id = ref_id

    def to_json(self) -> dict[str, object]:
        """What stands in `targets` of a panel."""
        return {
            "datasource": {"type": PLUGIN, "uid": "${datasource}"},
            "editorType": "sql",
            "format": {"timeseries": 0, "table": 1}[self.shape],
            "pluginVersion": VERSION,
            "queryType": self.shape,
            "rawSql": self.sql,
            "refId": self.ref_id,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Sql":
        """The reverse of `to_json`."""
        return cls(data["rawSql"], data["queryType"], data["refId"])


class SqlBuilder(Builder[Sql]):
    """Gives a finished query to a panel's builder, which asks for a builder."""

    def __init__(self, query: Sql) -> None:
        self._query = query

    def build(self) -> Sql:
        """The query."""
        return self._query


def variant() -> DataqueryConfig:
    """How Grafana's builders read such a query from JSON."""
    return DataqueryConfig(identifier=PLUGIN, from_json_hook=Sql.from_json)
