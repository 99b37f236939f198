"""The curve of net loss against the alert budget, as a table of 80 columns and as a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fraudsim.drawing.plot import Plot, panels
from fraudsim.drawing.scales import LinearScale, linear_ticks, round_up
from fraudsim.drawing.themes import PALETTE, QUIET
from fraudsim.whole_files import write_whole
from runner.ledger.policy_curve import CurvePoint
from runner.ledger.tables import console, money

_PARTS: Final = (
    ("net loss", "net_loss_cents"),
    ("fraud paid", "fraud_paid_cents"),
    ("insults", "insult_cents"),
    ("friction", "friction_cents"),
    ("reviews", "review_cents"),
)
CAVEAT: Final = (
    "Of what this run saw: who is stopped does not try again here, and who is not keeps to what was. Twin "
    "runs tell that."
)


def print_curve(points: Sequence[CurvePoint]) -> None:
    """Print a row for each bar; the least net loss is marked."""
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), title="money per 1,000 cards and week"
    )
    for name in ("budget", "from p", "alerts", "frauds", "FP per", "hours/d", "net loss", "paid", "insults"):
        table.add_column(name, justify="right")
    least = min(points[:-1], key=lambda point: point.ledger.net_loss_rate)
    for point in points:
        total, basis = point.ledger.total, point.ledger.basis
        frauds = total.flagged_frauds
        days = basis.span_ms / 86_400_000
        table.add_row(
            point.name,
            f"{point.from_probability:.3f}",
            f"{point.alert_share:.2%}",
            f"{frauds:,}",
            f"{(total.flagged.count - frauds) / frauds:.1f}" if frauds else "-",
            f"{total.review_minutes / 60 / days:.1f}" if days else "-",
            money(basis.rate(total.net_loss_cents)),
            money(basis.rate(total.fraud_paid_cents)),
            money(basis.rate(total.insult_cents)),
            style="bold" if point is least else None,
        )
    console.print(table)
    console.print(CAVEAT)


def write_curve(points: Sequence[CurvePoint], path: Path) -> None:
    """Write the plot as an SVG file of its own."""
    write_whole(path, panels([curve_plot(points)], 1))


def curve_plot(points: Sequence[CurvePoint]) -> Plot:
    """Net loss and its parts over the share of payments flagged, with the policy's own point."""
    own, curve = points[-1], sorted(points[:-1], key=lambda point: point.alert_share)
    values = {
        name: [point.ledger.basis.rate(getattr(point.ledger.total, field)) / 100 for point in curve]
        for name, field in _PARTS
    }
    shares = [100 * point.alert_share for point in curve]
    own_loss = own.ledger.net_loss_rate / 100
    plot = Plot(
        "Net loss against the alert budget",
        "Net loss per 1,000 cards and week, and its parts, by the share of payments flagged.",
        width=640,
        height=360,
        top=46,
    )
    x = plot.x_scale(0, max(*shares, 100 * own.alert_share))
    y = plot.y_scale(0, round_up(max(*values["net loss"], own_loss)))
    assert isinstance(x, LinearScale)
    assert isinstance(y, LinearScale)
    plot.y_axis(y, linear_ticks(0, y.high), "")
    plot.x_axis(x, linear_ticks(0, x.high, unit=" %"), "alerts, share of payments")
    for (name, _), colour in zip(_PARTS, PALETTE, strict=False):
        plot.line(shares, values[name], x, y, colour, dash="" if name == "net loss" else "4 3")
    plot.dot(x(100 * own.alert_share), y(own_loss), QUIET, "the policy as it is", radius=5)
    plot.text(2, 14, "per 1,000 cards and week; the dot is the policy as it is")
    plot.legend([(name, colour) for (name, _), colour in zip(_PARTS, PALETTE, strict=False)], y=34)
    return plot
