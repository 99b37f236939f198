"""From where a scorer reads labels, and whether a run's blocks are found again."""

import pytest

from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Label
from scorer.block_log import needed_from_ms
from scorer.explain.block_check import block_from_log
from testing.samples.log import make_segment

HOUR = 3_600_000


def clock_of(*segments):
    return Clock(LoggedSegment(segment, segment.wall_epoch_ms) for segment in segments)


def test_reading_begins_where_a_label_may_still_block_or_at_the_beginning():
    segment = make_segment(speed=10.0, event_epoch_ms=0, wall_epoch_ms=0)
    back_ms = segment.past_ms + segment.future_ms
    wall_ms = 10 * HOUR  # event time 100 h
    assert needed_from_ms(clock_of(segment), wall_ms, 40 * HOUR) == pytest.approx((60 * HOUR - back_ms) / 10)
    assert needed_from_ms(clock_of(segment), wall_ms, 200 * HOUR) is None


def test_an_earlier_segment_of_the_clock_is_used_for_what_it_covers():
    first = make_segment(speed=1.0, event_epoch_ms=0, wall_epoch_ms=0)
    second = make_segment(speed=100.0, event_epoch_ms=10 * HOUR, wall_epoch_ms=50 * HOUR, number=2)
    wall_ms = 50 * HOUR + HOUR // 10  # event time 20 h
    back_ms = second.past_ms + second.future_ms
    assert needed_from_ms(clock_of(first, second), wall_ms, 15 * HOUR) == pytest.approx(5 * HOUR - back_ms)


def test_a_block_follows_from_the_labels_that_a_decision_has_read_and_no_others():
    label = Label(
        tx_id="t", card_id="c", ts=0, amount_cents=1, is_fraud=True, source="analyst", known_at=5
    )  # fmt: skip
    assert block_from_log([(7, label)], "c", 10, 7, HOUR).tx_id == "t"
    assert block_from_log([(7, label)], "c", 10, 6, HOUR) is None
    assert block_from_log([(-1, label)], "c", 10, -1, HOUR).tx_id == "t"
