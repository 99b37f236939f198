"""Builders of boards and panels. Widths are in 24ths of the page."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATA_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="fraudsim-prometheus")
OBJECTIVE_S: Final = 0.05
Panels = Sequence[Builder[models.Panel]]
Rows = Sequence[tuple[str, Panels]]
"""(title, panels) each."""


class Alerts(Builder[AnnotationQuery]):
    """Marks alerts that fire in every time series; the SDK has no builder for a Prometheus annotation."""

    def build(self) -> AnnotationQuery:
        return AnnotationQuery(
            name="Alerts",
            datasource=DATA_SOURCE,
            icon_color="red",
            expr='ALERTS{alertstate="firing"}',
        )


def board(uid: str, title: str, description: str, rows: Rows) -> Dashboard:
    """A dashboard of rows of panels, with a link to the others."""
    links = dashboard.DashboardLink("fraudsim").type(DashboardLinkType.DASHBOARDS).tags(["fraudsim"])
    builder = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["fraudsim"])
        .readonly()
        .refresh("5s")
        .time("now-15m", "now")
        .timezone(common.TimeZoneBrowser)
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(links.keep_time(True))
        .annotation(Alerts())
    )
    for name, panels in rows:
        builder = builder.with_row(dashboard.Row(name))
        for panel in panels:
            builder = builder.with_panel(panel)
    dashboard_model = builder.build()
    # Ids by position, so that a link to one panel outlives the next render.
    for panel_id, item in enumerate(dashboard_model.panels or [], 1):
        item.id_val = panel_id
    return dashboard_model


def series(
    title: str,
    *queries: tuple[str, str],
    unit: str = units.Short,
    about: str = "",
    width: int = 8,
    limit: float | None = None,
    stacked: bool = False,
) -> timeseries.Panel:
    """Lines over time; `queries` are (PromQL, legend), `limit` a threshold line."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .span(width)
        .height(8)
        .min(0)
        .fill_opacity(30 if stacked else 0)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            options.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            options.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel = panel.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if limit is not None:
        panel = panel.thresholds(_above(limit)).thresholds_style(
            options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    for ref, (expr, legend) in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_query(ref, expr, legend).range())
    return panel


def heat(title: str, metric: str, where: str, unit: str, about: str = "", width: int = 8) -> heatmap.Panel:
    """A histogram's buckets over time."""
    expr = f"sum by (le) (increase({metric}_bucket{{{where}}}[$__rate_interval]))"
    return (
        heatmap.Panel()
        .title(title)
        .description(about)
        .datasource(DATA_SOURCE)
        .span(width)
        .height(8)
        .calculate(False)
        .show_value(common.VisibilityMode.NEVER)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .with_target(_query("A", expr, "{{le}}").range().format(PromQueryFormat.HEATMAP))
    )


def number(
    title: str,
    expr: str,
    unit: str = units.Short,
    about: str = "",
    limit: float | None = None,
    legend: str = "",
    width: int = 6,
) -> stat.Panel:
    """The latest value, red above `limit`; with a legend that names a label, the label's value."""
    panel = (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .span(width)
        .height(4)
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.NAME if legend else common.BigValueTextMode.VALUE)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_query("A", expr, legend).instant())
    )
    return panel.thresholds(_above(limit)) if limit is not None else panel


def _query(ref: str, expr: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend).datasource(DATA_SOURCE)


def _above(limit: float) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color="green"), Threshold(value=limit, color="red")]
    return dashboard.ThresholdsConfig().steps(steps)
