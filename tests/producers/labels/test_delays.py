"""Labels: late, by source, sometimes wrong."""

from dataclasses import replace

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from producers.labels.consequences import Consequences
from producers.labels.delays import (
    ANALYST,
    CHARGEBACK,
    CUSTOMER,
    LABEL_MEMORY_DAYS,
    LabelColumns,
    LabelDelays,
    label_transactions,
)
from producers.population.columns import DAY_MS
from producers.rng import generator
from stream_features.catalogue.features import LABEL_MEMORY

COUNT = 40_000
TS = 19_723 * DAY_MS + np.sort(generator(1, "ts").integers(0, DAY_MS, size=COUNT))
CARD = np.arange(COUNT)
FRAUD = np.arange(COUNT) % 4 == 0


def labels(delays: LabelDelays | None = None) -> LabelColumns:
    return label_transactions(TS, CARD, FRAUD, delays or LabelDelays(), generator(1, "labels"))


def hours(result: LabelColumns) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return (result.known_at - TS[result.row]) / 3_600_000


def test_no_label_comes_before_its_transaction() -> None:
    assert (hours(labels()) > 0).all()


def test_labels_are_in_the_order_they_become_known() -> None:
    assert (np.diff(labels().known_at) >= 0).all()


def test_each_source_has_its_delay() -> None:
    result, of_fraud = labels(), FRAUD[labels().row]
    delay = hours(result)
    chargeback = delay[result.source == CHARGEBACK] / 24
    assert chargeback.min() >= 30
    assert chargeback.max() <= 90
    customer = delay[(result.source == CUSTOMER) & of_fraud]
    assert 24 < np.median(customer) < 48
    assert customer.max() <= 336
    analyst = delay[(result.source == ANALYST) & of_fraud]
    assert 3 < np.median(analyst) < 8
    assert analyst.max() <= 48


def test_frauds_are_known_in_the_shares_that_are_set() -> None:
    result = labels()
    frauds = FRAUD.sum()
    reached = len(np.unique(result.row[FRAUD[result.row]])) / frauds
    assert reached == pytest.approx(0.95, abs=0.01)
    by_customer = (FRAUD[result.row] & (result.source == CUSTOMER)).sum() / frauds
    assert by_customer == pytest.approx(0.55, abs=0.02)


def test_an_analysts_miss_is_reversed_by_a_chargeback() -> None:
    result = labels()
    missed = result.row[FRAUD[result.row] & ~result.is_fraud]
    charged_back = result.row[result.source == CHARGEBACK]
    assert len(missed)
    assert np.isin(missed, charged_back).all()


def test_false_disputes_are_mostly_cleared_later() -> None:
    result = labels(replace(LabelDelays(), false_disputes=0.05))
    disputed = result.row[~FRAUD[result.row] & result.is_fraud]
    cleared = result.row[~FRAUD[result.row] & ~result.is_fraud]
    assert np.isin(cleared, disputed).all()
    assert len(cleared) / len(disputed) == pytest.approx(0.85, abs=0.05)
    first = dict(zip(result.row[::-1].tolist(), result.known_at[::-1].tolist(), strict=True))
    last = dict(zip(result.row.tolist(), result.known_at.tolist(), strict=True))
    assert all(last[row] > first[row] for row in cleared.tolist())


def test_frauds_of_a_card_on_a_day_become_known_together() -> None:
    ts, card = np.array([1000, 2000, 3000]), np.array([5, 5, 5])
    delays = LabelDelays(never=0, analyst=0, customer=1, chargeback_after_customer=0)
    result = label_transactions(ts, card, np.ones(3, np.bool_), delays, generator(1, "labels"))
    assert len(result) == 3
    assert len(np.unique(result.known_at)) == 1
    assert result.known_at[0] > 3000


def test_no_label_is_later_than_the_longest_delay() -> None:
    assert hours(labels()).max() <= LabelDelays().longest_days * 24


def test_no_transactions_have_no_labels() -> None:
    none = np.empty(0, np.int64)
    result = label_transactions(none, none, none.astype(np.bool_), LabelDelays(), generator(1, "labels"))
    assert len(result) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"never": -0.1}, "never=-0.1"),
        ({"analyst": 0.9}, "come to 1.5; at most 1"),
        ({"chargeback_min_days": 100.0}, "chargeback_min_days"),
    ],
)
def test_impossible_delays_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(FraudsimError, match=message):
        LabelDelays(**values)


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        ({"chargeback_max_days": 121.0}, "chargeback_max_days=121.0 is 121 days, beyond the 120 days"),
        ({"analyst_max_hours": 3000.0}, "analyst_max_hours=3000.0 is 125 days, beyond the 120 days"),
        (
            {"customer_max_hours": 2424.0},
            "customer_max_hours=2424.0 with clearing_max_days=20.0 is 121 days, beyond the 120 days",
        ),
    ],
)
def test_a_delay_beyond_the_label_memory_is_refused_in_one_line(
    delays: dict[str, float], message: str
) -> None:
    with pytest.raises(FraudsimError) as error:
        LabelDelays(**delays)
    assert str(error.value) == f"label delays: {message} for which features remember a label; give less"


def test_a_case_that_waits_beyond_the_label_memory_is_refused() -> None:
    assert Consequences(review_patience_hours=24 * 120)
    with pytest.raises(FraudsimError, match="review_patience_hours=2881 is beyond the 120 days"):
        Consequences(review_patience_hours=24 * 120 + 1)


def test_delays_as_long_as_the_label_memory_of_features_are_allowed() -> None:
    assert LABEL_MEMORY_DAYS * DAY_MS == LABEL_MEMORY
    assert LabelDelays(chargeback_max_days=120.0, customer_max_hours=2400.0).longest_days == 121
