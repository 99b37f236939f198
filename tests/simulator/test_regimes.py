import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from simulator.regimes import REGIMES, regime_of, span, span_ms, spread_ms
from stream_features.catalogue.features import DAY, HOUR, MINUTE

NOON = np.array([100 * DAY + 12 * HOUR])


def seen_to(name: str, **times: int) -> int:
    return int(regime_of(name, **times).seen_to(NOON)[0])


def test_real_time_sees_everything_before_the_decision():
    assert seen_to("real-time") == NOON[0]


def test_a_pipeline_is_late_by_its_delay():
    assert seen_to("delayed", duration_ms=90_000) == NOON[0] - 90_000


def test_a_job_is_seen_from_its_end_on():
    assert seen_to("micro-batch", period_ms=6 * HOUR, duration_ms=0) == NOON[0]
    assert seen_to("micro-batch", period_ms=6 * HOUR, duration_ms=MINUTE) == NOON[0] - 6 * HOUR
    assert seen_to("nightly") == 100 * DAY


def test_constant_delays_spread_over_a_job_have_its_mean_staleness():
    regime = regime_of("micro-batch", period_ms=6 * HOUR, duration_ms=HOUR)
    delays = spread_ms(regime, 6)
    assert np.mean(delays) == regime.mean_staleness_ms
    assert min(delays) > regime.delay_ms
    assert max(delays) < regime.longest_staleness_ms


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hourly",), "--regime hourly is not known, take one of real-time, delayed"),
        (("real-time", HOUR), "--period 1h: regime real-time has no job"),
        (("blocklist", None, HOUR), "--duration 1h: regime blocklist has no delay"),
        (("nightly", 10), "--period 10ms must be 1s or more"),
        (("nightly", 31 * DAY), "--period 31d must be between 0 and 30d"),
    ],
)
def test_a_wrong_regime_is_refused_in_one_line(arguments, words):
    with pytest.raises(FraudsimError, match=words):
        regime_of(*arguments)


@pytest.mark.parametrize("text", ["5", "m", "-5m", "1.5h", "5 m", "5m\n", ""])
def test_a_time_needs_a_number_and_a_unit(text):
    with pytest.raises(FraudsimError, match="is no time"):
        span_ms(text, "--period")


def test_times_are_written_as_they_are_read():
    for ms in (1, 1000, 90_000, HOUR, 36 * HOUR, 7 * DAY):
        assert span_ms(span(ms), "--period") == ms


def test_only_regimes_of_one_prefix_can_be_recomputed():
    expressible = {name for name, regime in REGIMES.items() if not regime.not_in_a_prefix}
    assert expressible == {"real-time", "delayed", "micro-batch", "nightly"}
