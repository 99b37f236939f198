"""The features that a decision names as its reasons, chosen by their contributions. Pure."""

from typing import Final

import numpy as np

from fraudsim.arrays import Doubles
from stream_features.catalogue.features import NAMES
from stream_features.catalogue.reason_groups import REASON_GROUP
from stream_features.vector import SIZE

Contributions = Doubles

REASONS: Final = 4
"""Most reasons of a decision; issuers' adverse-action notices give as many."""
SLIGHT: Final = 0.1
"""A contribution below this share of the strongest reason's is no reason."""
_MEMBERS: Final = {group: np.flatnonzero(group == REASON_GROUP) for group in np.unique(REASON_GROUP).tolist()}


def top_reasons(contributions: Contributions, k: int = REASONS) -> list[str]:
    """Names of up to k features that raise the score, strongest first.

    Features that say the same, such as the payments of one hour and of a day, form one reason. It weighs the
    sum of their contributions and is named after the feature that contributes most. A reason that is slight
    beside the strongest is left out.

    Args:
        contributions: of each feature to the margin; shape (SIZE,).
    """
    by_group = np.bincount(REASON_GROUP, weights=contributions, minlength=SIZE)
    strongest = np.argsort(-by_group, kind="stable")[:k].tolist()
    least = max(0.0, SLIGHT * by_group[strongest[0]])
    return [
        NAMES[_MEMBERS[group][contributions[_MEMBERS[group]].argmax()]]
        for group in strongest
        if by_group[group] > least
    ]
