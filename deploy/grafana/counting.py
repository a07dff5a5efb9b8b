"""The dashboard of counting: what `pintally worker` and `pintally serve` expose, as Prometheus keeps it."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.counting_rows import ROWS
from deploy.grafana.layout import add_rows, new_dashboard, source, source_variable
from deploy.grafana.panels import Kind, Query

PLUGIN: Final = "prometheus"


def counting() -> build.Dashboard:
    """The whole dashboard."""
    description = "Whether all is counted, how fresh and how exact; and what each worker does."
    dashboard = new_dashboard("counting", description).refresh("30s").time("now-1h", "now")
    dashboard.with_variable(source_variable(PLUGIN, "Prometheus")).with_variable(_topics())
    return add_rows(dashboard, ROWS, PLUGIN, _asks)


def _topics() -> build.QueryVariable:
    return (
        build.QueryVariable("topic")
        .label("Topic")
        .query("label_values(pintally_source_lag_records, topic)")
        .datasource(source(PLUGIN))
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _asks(query: Query, kind: Kind, letter: str) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().expr(query.text).ref_id(letter).legend_format(query.legend or "__auto")
    if kind is Kind.TABLE:
        return asked.instant().format(PromQueryFormat.TABLE)
    return asked.instant() if kind is Kind.NUMBER else asked.range()
