"""Which features are one reason: of the features of one group a decision names only one. Pure."""

from typing import Final

import numpy as np

from fraudsim.arrays import Ints
from stream_features.catalogue.features import FEATURES, Feature

SAME_REASON: Final = (
    (("request", "mcc", ""), ("request", "mcc_country_bucket", "")),
    (("card", "mean", ""), ("card", "std", ""), ("card", "max", "")),
    (("card", "same", "device"), ("device", "same", "card")),
    (("device", "sum", ""), ("device", "max", "")),
    (("merchant", "count", ""), ("merchant", "distinct", "card")),
    (("merchant", "mean", ""), ("merchant", "max", "")),
)
"""Families of features that form one group together; any other family is a group by itself."""
_FIRST_FAMILY: Final = {family: group[0] for group in SAME_REASON for family in group}


def reason_groups(features: tuple[Feature, ...]) -> Ints:
    """For each feature the index of the first feature of its group, shape (n,)."""
    groups = [_FIRST_FAMILY.get(feature.family, feature.family) for feature in features]
    return np.array([groups.index(group) for group in groups], dtype=np.int64)


REASON_GROUP: Final = reason_groups(FEATURES)
"""The groups of the catalogue's features, shape (SIZE,)."""
