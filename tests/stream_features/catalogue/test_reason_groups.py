"""The groups of features that are one reason: by the catalogue's own keys, whatever the wording."""

import subprocess
import sys

from stream_features.catalogue.features import DAY, FEATURES, NAMES, Feature
from stream_features.catalogue.reason_groups import REASON_GROUP, SAME_REASON, reason_groups

GROUP = dict(zip(NAMES, REASON_GROUP.tolist(), strict=True))


def test_features_that_differ_in_their_window_are_one_group_named_by_the_first():
    assert GROUP["card_count_1h"] == GROUP["card_count_24h"] == NAMES.index("card_count_1m")
    assert GROUP["card_count_1h"] != GROUP["device_count_1h"]
    assert GROUP["amount"] != GROUP["card_ratio_30d"]


def test_families_are_one_group_where_the_table_says_so():
    assert GROUP["card_same_device_30d"] == GROUP["device_same_card_30d"]
    assert GROUP["mcc"] == GROUP["mcc_country_bucket"]
    assert GROUP["merchant_count_1m"] == GROUP["merchant_cards_24h"] != GROUP["merchant_mean_24h"]
    families = {f.family for f in FEATURES}
    assert len(set(GROUP.values())) == len(families) - sum(len(group) - 1 for group in SAME_REASON)


def test_the_table_names_each_family_once_and_none_that_is_not_there():
    listed = [family for group in SAME_REASON for family in group]
    assert len(listed) == len(set(listed))
    assert set(listed) <= {f.family for f in FEATURES}


def test_an_added_window_joins_its_family_and_an_added_family_is_a_group_by_itself():
    two_days = Feature("card_count_2d", "card", "count", 2 * DAY)
    refunds = Feature("card_refunds_24h", "card", "refunds", DAY)
    *known, of_two_days, of_refunds = reason_groups((*FEATURES, two_days, refunds)).tolist()
    assert known == REASON_GROUP.tolist()
    assert of_two_days == GROUP["card_count_1m"]
    assert of_refunds == len(FEATURES) + 1


def test_choosing_reasons_needs_no_wording():
    code = "import sys, model.forest.reasons; print(*(name for name in sys.modules if '.catalogue.' in name))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "stream_features.catalogue.reason_groups" in loaded
    assert "wording" not in loaded
    assert "reason_text" not in loaded
