"""Decisions and labels become weeks: cut by event time, judged by what was known by then."""

import numpy as np
import pyarrow as pa
import pytest

from dashboards.drift.decided_weeks import WATCHED, WEEK_MS, DecidedRows, DecidedWeeks
from fraudsim.log.events import ACTIONS, Label
from model.artefact.costs import Costs, Stakes, decision_costs
from stream_features.catalogue.features import DAY

DAYS = 35
A_DAY = 20


def decided():
    rng = np.random.default_rng(1)
    n = DAYS * A_DAY
    ts = np.sort(rng.integers(0, DAYS * DAY, n))
    return DecidedRows(
        ts, rng.integers(1, 50, n), pa.array([f"t{i}" for i in range(n)]),
        rng.random((n, len(WATCHED))).astype(np.float32), rng.random(n).astype(np.float32),
        rng.random(n) * 0.1, rng.integers(0, len(ACTIONS), n), rng.integers(1, 9_000, n), rng.random(n) < 0.5,
    )  # fmt: skip


def labels_of(rows):
    rng = np.random.default_rng(2)
    labels = []
    for i in rng.permutation(len(rows.ts))[:300].tolist():
        labels.append(
            Label(
                tx_id=f"t{i}",
                card_id="c",
                ts=int(rows.ts[i]),
                amount_cents=1,
                is_fraud=bool(rng.random() < 0.7),
                source=("customer", "analyst", "chargeback")[int(rng.integers(3))],
                known_at=int(rows.ts[i] + rng.integers(0, 25 * DAY)),
            )
        )
    return sorted(labels, key=lambda label: label.known_at)


def brute_force(rows, labels, now, from_week, age, source=None, action=None):
    """Frauds by label within an age among the rows of a week."""
    count = 0
    for i, ts in enumerate(rows.ts.tolist()):
        if ts // WEEK_MS != from_week or (action and ACTIONS[rows.actions[i]] != action):
            continue
        count += any(
            label.tx_id == f"t{i}" and label.is_fraud and label.known_at < min(now, ts + age)
            and source in (None, label.source)
            for label in labels
        )  # fmt: skip
    return count


def label_says_fraud(labels, i, ts, now):
    """Whether a label within 14 days of payment i says fraud."""
    return any(
        label.tx_id == f"t{i}" and label.is_fraud and label.known_at < min(now, ts + 14 * DAY)
        for label in labels
    )


@pytest.mark.parametrize("step_days", [3, 10, 35])
def test_weeks_and_their_rates_do_not_depend_on_how_decisions_arrive(step_days):
    rows, labels = decided(), labels_of(decided())
    weeks, feed = [], DecidedWeeks(0)
    for start in range(0, DAYS, step_days):
        end = min(DAYS, start + step_days) * DAY
        some = [label for label in labels if start * DAY <= label.known_at < end]
        weeks += list(feed.add(rows.between(start * DAY, end), some, end))
    assert [week.start_ms // WEEK_MS for week in weeks] == [2, 3, 4], "the first two are for the others"
    for week in weeks:
        number = int(week.start_ms // WEEK_MS)
        now = (number + 1) * WEEK_MS
        assert len(week.cards) == int((rows.ts // WEEK_MS == number).sum())
        frauds = {name: int(rate.numerator.sum()) for name, rate in week.rates.items()}
        assert frauds == {
            "step-ups denied": brute_force(rows, labels, now, number, WEEK_MS, "customer", "step_up"),
            "reviews confirmed": brute_force(rows, labels, now, number, WEEK_MS, "analyst", "review"),
            "fraud known in 7 days": brute_force(rows, labels, now, number - 1, WEEK_MS),
            "fraud over predicted": brute_force(rows, labels, now, number - 2, 2 * WEEK_MS),
        }
        old = rows.ts // WEEK_MS == number - 2
        assert week.rates["fraud over predicted"].denominator.sum() == pytest.approx(
            rows.probabilities[old].sum()
        )
        known = np.array([label_says_fraud(labels, i, rows.ts[i], now) for i in np.flatnonzero(old)])
        stakes = Stakes(rows.amount_cents[old], known, rows.can_hold[old])
        cost = decision_costs(rows.probabilities[old], stakes, Costs()).sum()
        assert week.mature.cost_share == pytest.approx(cost / stakes.amount_cents[known].sum())
        assert week.mature.first_ms == rows.ts[old].min()


def test_weeks_without_decisions_are_passed_over():
    rows = decided()
    feed = DecidedWeeks(0)
    weeks = list(feed.add(rows.between(0, 7 * DAY), [], 7 * DAY))
    weeks += list(feed.add(rows.between(21 * DAY, 35 * DAY), [], 35 * DAY))
    assert [week.start_ms >= 28 * DAY for week in weeks] == [True]
