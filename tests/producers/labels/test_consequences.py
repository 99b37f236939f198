"""Replies to step-ups and analysts' verdicts: their shares, their delays, and settings that make no sense."""

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from producers.labels.consequences import MAX_BLOCK_DAYS, MINUTE_MS, Consequences
from producers.labels.outcome import analyst_says_fraud, step_up_reply
from stream_features.store.reported_labels import KEPT_DAYS

IDS = [f"t{n}" for n in range(20_000)]
RULES = Consequences(step_up_answered=0.8, step_up_fooled=0.1, step_up_slips=0.03, review_misses=0.2)


@pytest.mark.parametrize(("is_fraud", "wrong"), [(True, 0.1), (False, 0.03)])
def test_step_ups_are_answered_wrongly_and_not_at_all_by_the_shares_that_are_set(is_fraud, wrong):
    replies = [step_up_reply(tx_id, is_fraud, RULES, 7) for tx_id in IDS]
    answers = [reply for reply in replies if reply is not None]
    assert len(answers) / len(IDS) == pytest.approx(0.8, abs=0.01)
    assert np.mean([reply.says_fraud != is_fraud for reply in answers]) == pytest.approx(wrong, abs=0.01)
    minutes = np.array([reply.after_ms for reply in answers]) / MINUTE_MS
    assert np.median(minutes) == pytest.approx(RULES.step_up_median_minutes, rel=0.05)
    assert 0 < minutes.min() <= minutes.max() <= RULES.step_up_max_minutes


@pytest.mark.parametrize(("is_fraud", "wrong"), [(True, 0.2), (False, 0.02)])
def test_analysts_err_by_the_shares_that_are_set(is_fraud, wrong):
    verdicts = [analyst_says_fraud(tx_id, is_fraud, RULES, 7) for tx_id in IDS]
    assert np.mean([verdict != is_fraud for verdict in verdicts]) == pytest.approx(wrong, abs=0.01)


def test_a_reply_belongs_to_seed_and_id_alone():
    first = [step_up_reply(tx_id, True, RULES, 7) for tx_id in IDS[:200]]
    assert first == [step_up_reply(tx_id, True, RULES, 7) for tx_id in IDS[:200]]
    assert first != [step_up_reply(tx_id, True, RULES, 8) for tx_id in IDS[:200]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step_up_answered": 1.5}, "step_up_answered=1.5 is a share, at most 1"),
        ({"review_minutes": -1}, "review_minutes=-1 must be 0 or more"),
        ({"review_misses": float("nan")}, "review_misses=nan must be 0 or more"),
        ({"analysts": 1.5}, "analysts=1.5 must be a whole number"),
        ({"block_hours": -1}, "block_hours=-1 must be 0 or more"),
        ({"block_hours": 721}, "block_hours=721 is beyond the 30 days"),
        ({"hold_hours": 25}, "hold_hours=25 is more than review_patience_hours=24: a held payment must not"),
        ({"honest_retries": 0.99}, "honest_retries=0.99 and honest_leaves=0.02 come to 1.01; at most 1"),
        ({"lost_sale_share": 1.2}, "lost_sale_share=1.2 is a share, at most 1"),
        ({"leaver_cents": float("inf")}, "leaver_cents=inf must be a number"),
        ({"step_up_median_minutes": 40}, "step_up_median_minutes=40 is more than step_up_max_minutes=30"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_value(values, message):
    with pytest.raises(FraudsimError, match=message):
        Consequences(**values)


def test_a_block_lasts_no_longer_than_the_reports_of_a_history_are_kept():
    assert MAX_BLOCK_DAYS == KEPT_DAYS
