"""When records are due, and how far behind they went out."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import InvariantError
from fraudsim.log.clock import horizon_ms
from fraudsim.log.events import Segment
from producers.sender.schedule import DelayHistogram, end_ms, intended_us, next_tick_us
from testing.samples.log import make_segment

WALL_MS = 1_800_000_000_000
EVENT_MS = 1_700_000_000_000


def segment(speed: float) -> Segment:
    return make_segment(
        number=1, event_epoch_ms=EVENT_MS, wall_epoch_ms=WALL_MS, speed=speed, horizon_ms=horizon_ms(speed)
    )


@pytest.mark.parametrize(
    ("speed", "after_ms", "after_us"),
    [(1, 0, 0), (1, 1_500, 1_500_000), (10, 1, 100), (10, 1_000, 100_000), (0.5, 3, 6_000), (1000, 7, 7)],
)
def test_an_intended_time_is_the_walls_time_of_the_event_in_microseconds(
    speed: float, after_ms: int, after_us: int
) -> None:
    assert intended_us(segment(speed), EVENT_MS + after_ms) == WALL_MS * 1000 + after_us


def test_a_clock_that_stands_still_has_no_intended_times() -> None:
    with pytest.raises(InvariantError, match="stands still"):
        intended_us(segment(0), EVENT_MS)


@given(st.integers(0, 4 * 10**15), st.integers(1, 10**6))
def test_a_tick_comes_at_or_after_and_less_than_one_tick_later(time_us: int, tick_us: int) -> None:
    tick = next_tick_us(time_us, tick_us)
    assert tick % tick_us == 0
    assert 0 <= tick - time_us < tick_us


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=50), st.floats(0.1, 1000))
def test_intended_times_keep_the_order_of_events(after: list[int], speed: float) -> None:
    times = [intended_us(segment(speed), EVENT_MS + ms) for ms in sorted(after)]
    assert all(a <= b for a, b in itertools.pairwise(times))


def test_the_end_depends_on_the_sources_start_alone() -> None:
    assert end_ms(EVENT_MS, 10, 60) == EVENT_MS + 600_000
    assert end_ms(EVENT_MS, 10, None) == math.inf


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=200), st.sampled_from([0.5, 0.99, 1.0]))
def test_quantiles_are_within_one_percent(delays_us: list[int], q: float) -> None:
    delays = DelayHistogram()
    for delay in delays_us:
        delays.add(delay)
    exact = sorted(delays_us)[math.ceil(q * len(delays_us)) - 1] / 1000
    measured = delays.quantile_ms(q)
    assert measured is not None
    assert exact * 0.99 - 1e-9 <= measured <= exact


def test_without_sends_there_is_no_quantile() -> None:
    assert DelayHistogram().quantile_ms(0.5) is None
