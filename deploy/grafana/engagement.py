"""The dashboard of engagement: the views of readers in ClickHouse. It needs no more rights than `pintally_reader`."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.clickhouse import PLUGIN, Sql, SqlBuilder
from deploy.grafana.engagement_rows import PINS, ROWS
from deploy.grafana.layout import add_rows, new_dashboard, source, source_variable
from deploy.grafana.panels import Kind, Query

OVER_TIME: Final = (Kind.LINES, Kind.STACK)


def engagement() -> build.Dashboard:
    """The whole dashboard."""
    description = "What people do with pins: counts, top pins, and how fresh and final they are."
    dashboard = new_dashboard("engagement", description).refresh("1m").time("now-3h", "now")
    dashboard.with_variable(source_variable(PLUGIN, "ClickHouse")).with_variable(_pin())
    return add_rows(dashboard, ROWS, PLUGIN, _asks)


def _pin() -> build.QueryVariable:
    return (
        build.QueryVariable("pin")
        .label("Pin")
        .description("One of the top pins of the last 24 hours, or any other id")
        .query(PINS)
        .datasource(source(PLUGIN))
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .allow_custom_value(True)
    )


def _asks(query: Query, kind: Kind, letter: str) -> SqlBuilder:
    return SqlBuilder(Sql(query.text, "timeseries" if kind in OVER_TIME else "table", letter))
