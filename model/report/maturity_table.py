"""Label maturity as tables and a curve: how much is known after days, and what recent rates will become."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from rich.table import Table

from fraudsim.drawing.plot import Plot
from fraudsim.drawing.themes import PALETTE
from model.report.formatting import percent
from model.training.maturity import HORIZONS_DAYS, MaturityCurve, RecentRate
from stream_features.catalogue.features import DAY

DRAWN_DAYS: Final = 90


def shares_table(curves: Mapping[str, MaturityCurve]) -> Table:
    """Share of frauds that is known after some days, by the source that reports first."""
    table = Table(title="known after", title_justify="left")
    table.add_column("first report by")
    for days in HORIZONS_DAYS:
        table.add_column(f"{days} d", justify="right")
    table.add_column("frauds", justify="right")
    for source, curve in curves.items():
        shares = curve.after(np.array(HORIZONS_DAYS) * DAY)
        table.add_row(source, *(percent(share) for share in shares.tolist()), f"{curve.frauds:,}")
    return table


def rates_table(rates: Sequence[RecentRate]) -> Table:
    """Recent fraud rates, as known and as they will be when all labels are there."""
    table = Table(title="recent fraud", title_justify="left")
    for head in ("from", "transactions", "known frauds", "known rate", "known share", "mature rate"):
        table.add_column(head, justify="left" if head == "from" else "right")
    for rate in rates:
        day = datetime.fromtimestamp(rate.from_ms / 1000, UTC).strftime("%Y-%m-%d")
        numbers = (rate.known_rate, rate.known_share, rate.mature_rate)
        shown = ["" if np.isnan(number) else percent(number) for number in numbers]
        table.add_row(day, f"{rate.transactions:,}", f"{rate.known_frauds:,}", *shown)
    return table


def maturity_svg(curves: Mapping[str, MaturityCurve]) -> str:
    """The curves of up to 90 days as an SVG."""
    plot = Plot("Label maturity", "Share of frauds that is known by the age of the transaction, by source.")
    x, y = plot.x_scale(0, DRAWN_DAYS), plot.y_scale(0, 1)
    plot.x_axis(x, [(float(day), str(day)) for day in (0, 7, 30, 60, 90)], "days since the transaction")
    plot.y_axis(y, [(share / 4, f"{25 * share} %") for share in range(5)], "known")
    days = np.arange(DRAWN_DAYS + 1)
    for (source, curve), colour in zip(curves.items(), PALETTE, strict=False):
        shares = curve.after(days * DAY)
        plot.line(days.tolist(), shares.tolist(), x, y, colour)
        plot.text(x(DRAWN_DAYS), y(float(shares[-1])) - 4, source, anchor="end", colour=colour)
    return plot.render()
