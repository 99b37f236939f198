"""False alarms with their intervals, run lengths, and times to detect. Pure."""

from collections.abc import Sequence

import msgspec
import numpy as np

from studies.drift.cell import DriftFigures
from studies.drift.plan import NONE
from studies.frame.cell_plan import Runs


class FalseAlarms(msgspec.Struct, frozen=True, kw_only=True):
    """A detector in weeks without a change."""

    detector: str
    weeks: int
    alarms: int
    """Weeks with an alarm."""
    run_length: float | None
    """Weeks for each alarm; None without one."""
    run_length_low: float
    run_length_high: float | None
    """The 95 % interval, of a Poisson number of alarms (Garwood 1936); None for no bound."""
    alarming_worlds: int
    first_alarm_weeks: float | None
    """Weeks until a world's first alarm, in the mean of exponential lengths that some worlds outlast."""
    first_alarm_low: float
    first_alarm_high: float | None
    """Its 95 % interval, likewise. Alarms come in rows of weeks, so only first ones are independent."""
    in_sales: int
    """Alarms in the last five weeks of a year and the week of sales before them."""
    causes: dict[str, int]
    """How often each signal was the furthest beyond its limit."""


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """A detector and a change."""

    scenario: str
    detector: str
    worlds: int
    detected: int
    """Worlds in which it alarms after the change begins."""
    median_weeks: float | None
    """Weeks from the beginning to the end of the first week with an alarm; None if half miss it."""
    longest_weeks: int | None
    before: int
    """Alarms in the quiet weeks before."""
    detected_by_week: list[float]
    """Share of the worlds in which it has alarmed by the end of each week from the change on."""


def poisson_interval(count: int) -> tuple[float, float]:
    """The exact 95 % interval of a Poisson mean."""
    from scipy.stats import chi2

    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(0.975, 2 * count + 2)) / 2


def false_alarms(runs: Runs[DriftFigures], seeds: Sequence[int], arm: str) -> list[FalseAlarms]:
    """Every detector in the scenario without a change."""
    cells = [runs[arm, NONE, seed] for seed in seeds]
    weeks = sum(cell.weeks for cell in cells)
    rows = []
    for name in cells[0].alarms:
        alarms = [cell.alarms[name] for cell in cells]
        count = sum(map(len, alarms))
        low, high = poisson_interval(count)
        at_risk = [days[0] + 1 if days else cell.weeks for days, cell in zip(alarms, cells, strict=True)]
        first = sum(map(bool, alarms))
        first_low, first_high = poisson_interval(first)
        causes = [cause for cell in cells for cause in cell.causes[name] if cause]
        rows.append(
            FalseAlarms(
                detector=name,
                weeks=weeks,
                alarms=count,
                run_length=weeks / count if count else None,
                run_length_low=weeks / high,
                run_length_high=weeks / low if low else None,
                alarming_worlds=first,
                first_alarm_weeks=sum(at_risk) / first if first else None,
                first_alarm_low=sum(at_risk) / first_high,
                first_alarm_high=sum(at_risk) / first_low if first_low else None,
                in_sales=sum(_in_sales(cell, week) for cell in cells for week in cell.alarms[name]),
                causes={cause: causes.count(cause) for cause in sorted(set(causes))},
            )
        )
    return rows


def detections(
    runs: Runs[DriftFigures], seeds: Sequence[int], arm: str, names: Sequence[str]
) -> list[Detection]:
    """Every detector and change."""
    rows = []
    for scenario in names:
        cells = [runs[arm, scenario, seed] for seed in seeds]
        for detector in cells[0].alarms:
            delays, before = [], 0
            for cell in cells:
                change = cell.change_week
                assert change is not None
                after = [week - change + 1 for week in cell.alarms[detector] if week >= change]
                before += sum(week < change for week in cell.alarms[detector])
                delays.append(after[0] if after else np.inf)
            median = float(np.median(delays))
            reached = [delay for delay in delays if delay < np.inf]
            rows.append(
                Detection(
                    scenario=scenario,
                    detector=detector,
                    worlds=len(cells),
                    detected=len(reached),
                    median_weeks=median if median < np.inf else None,
                    longest_weeks=int(max(reached)) if len(reached) == len(cells) else None,
                    before=before,
                    detected_by_week=[
                        sum(delay <= week for delay in delays) / len(cells)
                        for week in range(1, cells[0].weeks - (cells[0].change_week or 0) + 1)
                    ],
                )
            )
    return rows


def _in_sales(cell: DriftFigures, week: int) -> bool:
    """Whether a week touches 24 November to 5 January."""
    begin = np.datetime64(cell.first_ms, "ms") + np.timedelta64(7 * week, "D")
    days = [(begin + np.timedelta64(day, "D")).astype("datetime64[D]").item() for day in range(7)]
    return any((day.month, day.day) >= (11, 24) or (day.month, day.day) <= (1, 5) for day in days)
