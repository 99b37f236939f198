"""The circuit breaker against its specification, over any sequence of events."""

from hypothesis import given
from hypothesis import strategies as st

from scorer.resilience.breaker import Breaker

EVENTS = st.lists(
    st.tuples(st.floats(0, 0.3), st.sampled_from(["failed", "succeeded", "probe", "trip"])), max_size=60
)


@given(EVENTS)
def test_it_opens_for_lasting_failure_only_and_a_success_always_closes_it(events):
    breaker, now, row, since, last_probe = Breaker(2, 0.2, 0.25), 0.0, 0, 0.0, None
    for pause, event in events:
        now += pause
        was_closed = breaker.closed
        if event == "succeeded":
            breaker.record_success()
            row = 0
            assert breaker.closed
        elif event == "failed":
            breaker.record_failure(now)
            since = now if row == 0 else since
            row += 1
            if was_closed:
                assert breaker.closed == (row < 2 or now - since < 0.2)
            else:
                assert breaker.state == "open"
        elif event == "trip":
            breaker.trip(now)
            assert breaker.state == "open"
        else:
            taken = breaker.take_probe(now)
            if was_closed:
                assert taken
            elif taken:
                assert breaker.state == "half_open"
                assert last_probe is None or now - last_probe >= 0.25
                last_probe = now
        if breaker.closed and not was_closed:
            assert event == "succeeded"
        if was_closed and not breaker.closed:
            row, last_probe = 0, now
        if event == "trip":
            row, last_probe = 0, now


@given(st.floats(0, 1e6), st.integers(1, 100))
def test_while_it_is_open_there_is_one_probe_a_quarter_of_a_second(start, ticks):
    breaker = Breaker()
    breaker.trip(start)
    probes = sum(breaker.take_probe(start + 0.01 * tick) for tick in range(ticks))
    assert probes <= 0.01 * ticks / 0.25 + 1


def test_a_pause_shorter_than_a_fifth_of_a_second_opens_nothing_however_many_notice():
    breaker = Breaker()
    for n in range(100):
        breaker.record_failure(5.0 + n / 1000)
    assert breaker.closed
