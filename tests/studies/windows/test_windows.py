"""The study of windows: costs against counting by hand, errors of features, and one run."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.settings import Settings
from simulator.regimes import regime_of
from stream_features.catalogue.features import DAY, FEATURES, HOUR, MINUTE
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import WorldSpec
from studies.windows.cell import feature_errors, run_cell
from studies.windows.costs import kept_a_card, updates_a_payment, window_lengths
from studies.windows.plan import EXACT, TUMBLING, WindowsPlan, hop_name

SETTINGS = Settings(_env_file=None)


def test_updates_are_counted_by_window():
    lengths = window_lengths()
    assert lengths["card"] == [MINUTE, 5 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY]
    assert updates_a_payment(None) == len(lengths)
    assert updates_a_payment(None, tumbling=True) == sum(map(len, lengths.values()))
    assert updates_a_payment(30 * DAY) == updates_a_payment(None, tumbling=True)
    by_hand = sum(1 if w < HOUR else w // HOUR for windows in lengths.values() for w in windows)
    assert updates_a_payment(HOUR) == by_hand


@given(
    st.lists(st.tuples(st.integers(0, 60 * DAY), st.integers(0, 3)), min_size=1, max_size=60),
    st.sampled_from([MINUTE, HOUR, DAY]),
)
def test_kept_values_are_those_of_counting_by_hand(payments, hop):
    ts = np.array([at for at, _ in payments], np.int64)
    card = np.array([card for _, card in payments], np.int64)
    recent = [(at, key) for at, key in payments if at >= max(ts) - 30 * DAY]
    cards = {key for _, key in recent}
    assert kept_a_card(ts, card, None) == len(recent) / len(cards)
    assert kept_a_card(ts, card, hop) == len({(key, at // hop) for at, key in recent}) / len(cards)


def test_errors_are_those_of_the_columns_that_differ():
    exact = np.ones((4, len(FEATURES)), np.float32)
    exact[0] = np.nan
    served = exact.copy()
    assert set(feature_errors(served, exact).values()) == {0.0}
    column = next(i for i, f in enumerate(FEATURES) if f.entity == "card" and f.window_ms == HOUR)
    served[1:3, column] = 2
    served[3, 0] = 5  # of the request: not a window's
    errors = feature_errors(served, exact)
    hours = [f for f in FEATURES if f.window_ms == HOUR and f.entity in ("card", "device", "merchant", "ip")]
    assert errors[f"differ {HOUR}"] == 100 * 2 / (4 * len(hours))
    assert errors[f"differ {DAY}"] == 0


def test_a_run_knows_its_costs_its_alerts_and_its_errors(tmp_path):
    spec = WorldSpec(cards=300, history_days=30, days=2, world=(("fraud_scale", 12.0),))
    plan = WindowsPlan((HOUR,), spec, 2, 2)
    assert plan.arms()[hop_name(HOUR)].regime == regime_of("hopping", HOUR)
    exact = run_cell(plan, StudyCell(EXACT, "tempo 1", 1), SETTINGS, tmp_path)
    tumbling = run_cell(plan, StudyCell(TUMBLING, "tempo 1", 1), SETTINGS, tmp_path)
    assert exact.line.flagged <= len(exact.acted) < exact.line.decisions
    assert exact.acted == sorted(set(exact.acted))
    assert "differ" not in exact.measures
    assert 0 < tumbling.measures["differ"] < 100
    assert exact.measures["kept"] > 1
    assert exact.measures["updates"] < tumbling.measures["updates"]
