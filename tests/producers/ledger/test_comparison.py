"""Twin runs: paired differences with their intervals, and what is no pair."""

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from producers.labels.consequences import Consequences
from producers.ledger.account import WEEK_MS, Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.comparison import compare, difference_of
from producers.ledger.entry import Fraud
from producers.ledger.ledger import Ledger, ledger_of
from tests.producers.ledger.test_book import payment

BASIS = Basis(1_000, WEEK_MS)


def ledger(*cents, action="approve", typology="push_scam", basis=BASIS):
    postings = [
        Posting(payment(n, 10**9 + n, action, amount), Fraud(typology, "c")) for n, amount in enumerate(cents)
    ]
    return ledger_of(entries_of(postings, Consequences(), 7), basis)


def test_the_interval_is_student_s_t():
    difference = difference_of([10.0, 20.0, 60.0])
    assert difference.mean == pytest.approx(30)
    half = 4.302653 * np.std([10, 20, 60], ddof=1) / np.sqrt(3)
    assert (difference.low, difference.high) == pytest.approx((30 - half, 30 + half))


@pytest.mark.parametrize("seed", range(3))
def test_it_holds_the_truth_nineteen_times_in_twenty(seed):
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(1_000):
        difference = difference_of(rng.normal(5, 3, size=6).tolist())
        hits += difference.low <= 5 <= difference.high
    assert 925 < hits < 975


def test_one_pair_has_no_interval():
    difference = difference_of([250.0])
    assert (difference.mean, difference.low) == (250.0, None)
    assert difference.text == "+2.50 (one pair: no interval)"


def test_the_second_less_the_first_by_part_and_typology():
    pairs = [
        (ledger(1_000, 2_000), ledger(2_000)),
        (ledger(4_000), ledger(3_000, action="decline", typology="bin_attack")),
    ]
    comparison = compare(pairs)
    assert comparison.net_loss.mean == -2_500
    assert comparison.parts["fraud paid"].mean == -2_500
    assert comparison.fraud_paid_by_typology["push_scam"].mean == -2_500
    assert comparison.fraud_paid_by_typology["bin_attack"].mean == 0


def test_what_is_no_pair_is_refused_in_one_line():
    with pytest.raises(FraudsimError, match="at least one pair"):
        compare([])
    with pytest.raises(FraudsimError, match="one has 1000 cards by truth, the other 999 by truth"):
        compare([(ledger(), ledger(basis=Basis(999, WEEK_MS)))])


@pytest.mark.parametrize(("cards", "span_ms", "cents", "expected"), [
    (1_000, WEEK_MS, 12_345, 12_345),
    (2_000, WEEK_MS, 3, 2),  # 1.5, to the nearest
    (500, WEEK_MS // 7, 100, 1_400),
    (0, WEEK_MS, 100, 0),
    (1_000, 0, 100, 0),
])  # fmt: skip
def test_money_per_thousand_cards_and_week_is_whole_cents(cards, span_ms, cents, expected):
    assert Basis(cards, span_ms).rate(cents) == expected


def test_an_empty_ledger_loses_nothing():
    assert Ledger("truth", Basis(0, 0)).net_loss_rate == 0
