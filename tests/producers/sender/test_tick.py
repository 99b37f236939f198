"""The sender's tick: short where the machine has time, as long as ever where it has not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.settings import Settings
from producers.sender.schedule import (
    BUSY_MS,
    GROWTH,
    LONGEST_US,
    SHORTEST_US,
    SendTick,
    fixed_us,
    handovers_per_s,
    tick_for,
)  # fmt: skip

rates, cores = st.floats(0.1, 20_000), st.floats(0.25, 64)


def on_time(tick: SendTick) -> float:
    """The ninth decile of the delays where each tick is kept, ms."""
    return 0.9 * tick.us / 1000 + 0.5


@given(rates, cores)
def test_it_is_between_its_bounds_and_longest_where_the_cores_have_no_time(rate: float, cores: float) -> None:
    assert SHORTEST_US <= tick_for(rate, cores) <= LONGEST_US
    if rate / cores >= 400:
        assert tick_for(rate, cores) == LONGEST_US


@given(rates, rates, cores, cores)
def test_a_higher_rate_never_shortens_it_and_more_cores_never_lengthen_it(
    rate: float, other: float, cores: float, more: float
) -> None:
    assert tick_for(min(rate, other), cores) <= tick_for(max(rate, other), cores)
    assert tick_for(rate, max(cores, more)) <= tick_for(rate, min(cores, more))


def test_on_two_cores_it_is_short_at_the_default_rate_and_as_before_at_1000() -> None:
    assert tick_for(300, 2) <= 3_000
    assert tick_for(1_000, 2) == 15_000


@given(rates, st.integers(SHORTEST_US, LONGEST_US))
def test_handovers_are_at_most_the_ticks_and_at_most_the_transactions(rate: float, tick_us: int) -> None:
    assert 0 < handovers_per_s(rate, tick_us) <= min(1e6 / tick_us, rate) * (1 + 1e-9)


def test_it_begins_long_and_follows_the_first_seconds_rate() -> None:
    tick = SendTick(None, 2)
    assert tick.us == LONGEST_US
    tick.adapt(300, on_time(tick))
    assert tick.us == tick_for(300, 2)
    tick.adapt(550, on_time(tick))
    assert tick.us == tick_for(550, 2)


def test_lateness_lengthens_it_up_to_the_longest_and_punctuality_shortens_it_again() -> None:
    tick = SendTick(None, 2)
    tick.adapt(300, on_time(tick))
    short = tick.us
    tick.adapt(300, on_time(tick) + BUSY_MS)
    assert tick.us == short * GROWTH
    for _ in range(20):
        tick.adapt(300, on_time(tick) + BUSY_MS)
    assert tick.us == LONGEST_US
    before = tick.us
    tick.adapt(300, on_time(tick))
    assert short < tick.us < before
    for _ in range(30):
        tick.adapt(300, on_time(tick))
    assert tick.us == short


def test_a_late_second_never_shortens_it_however_the_rate_falls() -> None:
    tick = SendTick(None, 2)
    tick.adapt(1_000, on_time(tick))
    tick.adapt(300, on_time(tick) + BUSY_MS)
    assert tick.us == LONGEST_US


@given(st.lists(st.tuples(rates, st.floats(0, 500)), max_size=50), cores)
def test_it_stays_between_its_bounds_whatever_is_measured(
    windows: list[tuple[float, float]], cores: float
) -> None:
    tick = SendTick(None, cores)
    for rate, delay_ms in windows:
        tick.adapt(rate, delay_ms)
        assert SHORTEST_US <= tick.us <= LONGEST_US


def test_a_second_without_sends_and_a_fixed_tick_change_nothing() -> None:
    tick = SendTick(None, 2)
    tick.adapt(None, None)
    assert tick.us == LONGEST_US
    fixed = SendTick(7_000, 2)
    fixed.adapt(300, 500.0)
    assert fixed.us == 7_000


@pytest.mark.parametrize(
    ("fields", "expected_us"),
    [
        ({}, None),
        ({"tick_ms": 7}, 7_000),
        ({"sender": "confluent"}, 1_000),
        ({"sender": "confluent", "tick_ms": 20}, 20_000),
    ],
)
def test_a_setting_or_librdkafka_fixes_it(fields: dict[str, object], expected_us: int | None) -> None:
    assert fixed_us(Settings(_env_file=None, **fields)) == expected_us  # type: ignore[arg-type]
