import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from model.training.split import default_test_days, split_history
from stream_features.catalogue.features import DAY


def test_a_75_day_history_has_25_days_of_warm_up_36_of_training_7_of_gap_and_7_of_test():
    split = split_history(0, 75 * DAY, 7)
    assert (split.train_from_ms, split.train_until_ms, split.test_from_ms) == (25 * DAY, 61 * DAY, 68 * DAY)


def test_warm_up_is_at_most_30_days_unless_asked_for():
    assert split_history(0, 365 * DAY, 7).train_from_ms == 30 * DAY
    assert split_history(0, 365 * DAY, 7, warm_up_days=45).train_from_ms == 45 * DAY


@pytest.mark.parametrize(("days", "test"), [(5, 1), (14, 2), (40, 6), (75, 7), (365, 7)])
def test_the_test_is_15_percent_of_the_history_between_one_day_and_seven(days, test):
    assert default_test_days(days) == test


def test_each_period_contains_its_start_and_not_its_end():
    split = split_history(0, 75 * DAY, 7)
    ts = np.array([25 * DAY - 1, 25 * DAY, 61 * DAY - 1, 61 * DAY, 68 * DAY - 1, 68 * DAY, 75 * DAY - 1])
    assert split.train(ts).tolist() == [False, True, True, False, False, False, False]
    assert split.test(ts).tolist() == [False, False, False, False, False, True, True]


def test_no_room_for_the_gap_is_an_error_that_names_the_setting_its_value_and_the_largest_that_fits():
    with pytest.raises(FraudsimError, match=r"FRAUDSIM_LABEL_GAP_DAYS=7 .* set it to 6\.5 or less"):
        split_history(0, 10 * DAY, 7)
    split_history(0, 10 * DAY, 6.5)
    split_history(0, 14 * DAY, 7)


def test_a_history_too_short_for_any_gap_asks_for_a_longer_one():
    with pytest.raises(FraudsimError, match=r"FRAUDSIM_LABEL_GAP_DAYS=0 .*; take a longer history"):
        split_history(0, 2 * DAY, 0)


@given(days=st.floats(1, 500), gap=st.floats(0, 60))
def test_the_gap_never_shrinks_and_a_day_is_left_to_train(days, gap):
    end = int(days * DAY)
    try:
        split = split_history(0, end, gap)
    except FraudsimError:
        return
    assert split.test_from_ms - split.train_until_ms == round(gap * DAY)
    assert split.train_until_ms - split.train_from_ms >= DAY - 2
    assert split.train_from_ms <= split.slice_from_ms < split.train_until_ms <= split.test_from_ms < end
