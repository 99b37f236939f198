"""The weekly detector and its dummies, on weeks whose cards repeat themselves."""

import numpy as np
import pytest

from dashboards.drift.detector import FEWEST_WEEKS, PROMISED_WEEKS, BlockDetector
from dashboards.drift.dummies import AlwaysAlarm, FixedCutOff, NeverAlarm
from dashboards.drift.stability_index import Bins, psi
from dashboards.drift.week import WeekSummarizer
from fraudsim.errors import FraudsimError
from tests.dashboards.drift.weeks import week_rows


def watched(detector, weeks):
    summarizer = WeekSummarizer(resamples=15)
    return [detector.add(summarizer.summarize(week)) for week in weeks]


def test_without_drift_the_family_keeps_its_promise():
    verdicts = []
    for seed in range(12):
        verdicts += watched(BlockDetector(), [week_rows(n, seed) for n in range(24)])
    ready = [verdict for verdict in verdicts if verdict.ready]
    assert len(ready) == 12 * 16
    assert sum(verdict.alarm for verdict in ready) <= len(ready) / PROMISED_WEEKS


def test_rows_of_one_card_are_not_independent_and_a_limit_that_says_so_alarms():
    """Other cards of the same kind, each with its own amounts: nothing drifts, the old limit is passed."""
    passed = 0
    for seed in range(10):
        reference, other = (week_rows(1, seed * 2 + part, rows_a_card=30) for part in (0, 1))
        amounts = [week.columns["amount"].values for week in (reference, other)]
        bins = Bins(amounts[0])
        index = psi(bins.reference, bins.counts(amounts[1]))
        passed += index.value > index.limit
    assert passed == 10


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"factor": 1.4}, "area of amount"),
        ({"missing": 0.3}, "missing of sparse"),
        ({"code": 77.0}, "new of code"),
        ({"denied": 0.7}, "rate of denied"),
    ],
)
def test_it_names_what_has_drifted_in_the_first_week(change, first):
    weeks = [week_rows(n) for n in range(12)] + [week_rows(n, **change) for n in range(12, 14)]
    verdicts = watched(BlockDetector(), weeks)
    assert [verdict.alarm for verdict in verdicts[FEWEST_WEEKS:]] == [False] * 4 + [True] * 2
    names = [reading.name for reading in verdicts[-1].drifted]
    assert first in names
    kinds = {"factor": "amount sparse", "missing": "sparse", "code": "code", "denied": "denied"}[
        next(iter(change))
    ]
    assert {name.split(" of ")[1] for name in names} <= set(kinds.split())


def test_a_gradual_drift_is_seen_since_the_reference_stays():
    weeks = [week_rows(n, factor=1 + 0.02 * max(0, n - 10)) for n in range(40)]
    verdicts = watched(BlockDetector(), weeks)
    first = next(number for number, verdict in enumerate(verdicts) if verdict.alarm)
    assert 12 < first < 25


def test_after_a_restart_the_new_state_is_the_reference():
    detector, summarizer = BlockDetector(), WeekSummarizer(resamples=15)
    for n in range(9):
        detector.add(summarizer.summarize(week_rows(n)))
    assert detector.add(summarizer.summarize(week_rows(9, factor=2.0))).alarm
    detector.restart()
    assert not detector.ready
    after = [detector.add(summarizer.summarize(week_rows(n, factor=2.0))) for n in range(10, 22)]
    assert not any(verdict.alarm for verdict in after)
    assert after[-1].ready


def test_what_is_kept_of_a_week_does_not_grow_with_cards():
    sizes = []
    for cards in (100, 1_000):
        summary = WeekSummarizer(resamples=15).summarize(week_rows(0, cards=cards))
        sizes.append(sum(counts.nbytes for counts in (*summary.counts.values(), *summary.rates.values())))
    assert sizes[0] == sizes[1]


def test_too_few_weeks_and_a_week_without_rows_are_refused_in_one_line():
    with pytest.raises(FraudsimError, match=r"7 weeks of reference are too few.*give 8"):
        BlockDetector(7)
    empty = week_rows(0, cards=0)
    with pytest.raises(FraudsimError, match="has no decisions"):
        WeekSummarizer().summarize(empty)


@pytest.mark.parametrize("kind", [BlockDetector, AlwaysAlarm, NeverAlarm, FixedCutOff])
def test_every_detector_says_nothing_before_its_reference_is_there(kind):
    verdicts = watched(kind(), [week_rows(n) for n in range(FEWEST_WEEKS + 1)])
    assert [verdict.ready for verdict in verdicts] == [False] * FEWEST_WEEKS + [True]
    assert not any(verdict.alarm for verdict in verdicts[:-1])


def test_the_dummies_do_what_they_are_called():
    weeks = [week_rows(n) for n in range(10)] + [week_rows(10, factor=2.0)]
    assert [verdict.alarm for verdict in watched(AlwaysAlarm(), weeks)][-3:] == [True] * 3
    assert not any(verdict.alarm for verdict in watched(NeverAlarm(), weeks))
    assert [verdict.alarm for verdict in watched(FixedCutOff(), weeks)][-3:] == [False, False, True]


def test_columns_that_the_first_week_hardly_has_are_left_out():
    first = week_rows(0)
    first.columns["amount"].values[60:] = np.nan
    summary = WeekSummarizer(resamples=3).summarize(first)
    assert set(summary.counts) == {"amount", "sparse"}
