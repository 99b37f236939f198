"""The study of drift's alarms, very small; and its statistics where the answer is known."""

import numpy as np
import pytest

from fraudsim.settings import Settings
from studies.drift.cell import DriftFigures, run_cell
from studies.drift.definition import LINE, definition_of, result_of
from studies.drift.plan import NONE, QUIET_WEEKS, DriftPlan, scenarios
from studies.drift.statistics import detections, false_alarms, poisson_interval
from studies.frame.cell_plan import StudyCell
from studies.frame.definition import Provenance

TINY = DriftPlan(1, seeds=1, quiet_weeks=2, weeks_after=2, cards=150, history_days=75)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.6)]
)
def test_the_interval_is_the_one_of_the_tables(count, low, high):
    assert poisson_interval(count) == pytest.approx((low, high), rel=1e-3)


def figures(weeks, alarms, change=None):
    return DriftFigures(
        weeks=weeks, first_ms=1_704_067_200_000, change_week=change, alarms={"blocks": alarms},
        causes={"blocks": ["area of amount"] * len(alarms)},
    )  # fmt: skip


def test_run_lengths_count_alarms_over_all_worlds():
    runs = {(LINE, NONE, 1): figures(52, [3, 4]), (LINE, NONE, 2): figures(52, [])}
    (row,) = false_alarms(runs, [1, 2], LINE)
    assert (row.weeks, row.alarms, row.run_length) == (104, 2, 52)
    assert row.run_length_low == pytest.approx(104 / 7.2247, rel=1e-3)
    assert row.first_alarm_weeks == 4 + 52, "one world alarms in its fourth week, the other outlasts 52"
    assert (row.in_sales, row.causes) == (0, {"area of amount": 2})
    (sale,) = false_alarms({(LINE, NONE, 1): figures(52, [46, 20])}, [1], LINE)
    assert sale.in_sales == 1


def test_times_to_detect_count_from_the_change():
    alarms = ([1, 5], [4], [])
    runs = {(LINE, "sudden", seed): figures(8, list(weeks), 4) for seed, weeks in enumerate(alarms)}
    (row,) = detections(runs, [0, 1, 2], LINE, ["sudden"])
    assert (row.detected, row.worlds, row.median_weeks, row.longest_weeks, row.before) == (2, 3, 2.0, None, 1)
    assert row.detected_by_week == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3])


def test_a_broken_feed_is_found_by_a_real_run_and_the_page_says_so(tmp_path):
    settings = Settings(_env_file=None, label_gap_days=3, world={"fraud_scale": 6.0})
    runs = {}
    for name in (NONE, "feed"):
        cell = StudyCell(LINE, name, 1)
        runs[cell] = run_cell(TINY, cell, settings, tmp_path)
    assert runs[LINE, NONE, 1].weeks == TINY.quiet_weeks
    found = runs[LINE, "feed", 1]
    assert QUIET_WEEKS in found.alarms["blocks"]
    assert "missing of device_cards_24h" in found.causes["blocks"]
    assert found.alarms["always"] == list(range(QUIET_WEEKS + TINY.weeks_after))
    assert found.alarms["never"] == []
    for name in scenarios(TINY.weeks_after):
        runs.setdefault((LINE, name, 1), found)
    study = definition_of(TINY, "quick")
    from model.artefact.files import current_versions

    provenance = Provenance(study="drift", size="quick", code="c", versions=current_versions())
    report = study.report_of(result_of(TINY, runs, [1], provenance))
    assert report.answer[0].startswith("Without a change the weekly detector alarms in ")
    assert len(report.tables[1].grid.rows) == 4 * 5
    assert np.all([len(row) == len(table.grid.heads) for table in report.tables for row in table.grid.rows])
