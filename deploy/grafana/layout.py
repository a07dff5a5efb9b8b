"""Rows and panels -> a dashboard of Grafana, by Grafana's own builders, and its JSON."""

import json
from collections.abc import Callable, Iterator
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import common, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.panels import Kind, Panel, Query, Row

HEIGHT: Final = {Kind.NUMBER: 4, Kind.LINES: 8, Kind.STACK: 8, Kind.TABLE: 9}
GREEN, YELLOW, RED = "green", "yellow", "red"
SOURCE: Final = "datasource"  # the variable of the data source

# A query of a panel and its letter -> what the data source understands.
Asks = Callable[[Query, Kind, str], Builder[Dataquery]]
AnyPanel = stat.Panel | table.Panel | timeseries.Panel


def source(plugin: str) -> model.DataSourceRef:
    """The data source that the dashboard's variable names."""
    return model.DataSourceRef(type_val=plugin, uid=f"${{{SOURCE}}}")


def source_variable(plugin: str, label: str) -> build.DatasourceVariable:
    """The variable that names the data source, so that a dashboard fits any Grafana."""
    return build.DatasourceVariable(SOURCE).label(label).type(plugin)


def new_dashboard(name: str, description: str) -> build.Dashboard:
    """A dashboard without rows, with a link to the others of ours."""
    others = build.DashboardLink("Pintally").type(model.DashboardLinkType.DASHBOARDS).tags(["pintally"]).keep_time(True)
    dashboard = build.Dashboard(f"Pintally: {name}").uid(f"pintally-{name}").description(description)
    return dashboard.tags(["pintally"]).timezone("utc").tooltip(model.DashboardCursorSync.CROSSHAIR).link(others)


def add_rows(dashboard: build.Dashboard, rows: tuple[Row, ...], plugin: str, asks: Asks) -> build.Dashboard:
    """Put the rows into the dashboard, in order."""
    number = 0
    for row in rows:
        dashboard.with_row(build.Row(row.title).id(number := number + 1))
        for panel in row.panels:
            dashboard.with_panel(_panel(panel, plugin, asks).id(number := number + 1))
    return dashboard


def to_json(dashboard: build.Dashboard) -> str:
    """As Grafana imports it, and as it is kept in this repository."""
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _panel(panel: Panel, plugin: str, asks: Asks) -> AnyPanel:
    made = _drawn(panel)
    made.title(panel.title).description(panel.description).datasource(source(plugin)).unit(panel.unit)
    made.span(panel.width).height(HEIGHT[panel.kind]).thresholds(_thresholds(panel))
    for letter, query in zip(ascii_uppercase, panel.queries, strict=False):
        made.with_target(asks(query, panel.kind, letter))
    return made


def _drawn(panel: Panel) -> AnyPanel:
    if panel.kind is Kind.NUMBER:
        last = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
        return stat.Panel().reduce_options(last).graph_mode(options.BigValueGraphMode.NONE)
    if panel.kind is Kind.TABLE:
        return table.Panel().cell_height(options.TableCellHeight.SM).align(options.FieldTextAlignment.AUTO)
    return _over_time(panel)


def _over_time(panel: Panel) -> timeseries.Panel:
    made = timeseries.Panel().line_width(1).fill_opacity(8).show_points(options.VisibilityMode.NEVER)
    legend = common.VizLegendOptions().show_legend(True).placement(options.LegendPlacement.BOTTOM)
    made.legend(legend.display_mode(options.LegendDisplayMode.LIST))
    made.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    if panel.least is not None:
        made.min(panel.least)
    if panel.most is not None:
        made.max(panel.most)
    if panel.kind is Kind.STACK:
        made.fill_opacity(40).stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    return made


def _thresholds(panel: Panel) -> build.ThresholdsConfig:
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(list(_steps(panel)))


def _steps(panel: Panel) -> Iterator[model.Threshold]:
    yield model.Threshold(value=None, color=GREEN)
    if panel.warn is not None:
        yield model.Threshold(value=panel.warn, color=YELLOW)
    if panel.bad is not None:
        yield model.Threshold(value=panel.bad, color=RED)
