"""The card transactions of ULB, creditcard.csv: recognised, and refused with the reason.

Dal Pozzolo, Caelen, Johnson and Bontempi, "Calibrating Probability with Undersampling for Unbalanced
Classification", IEEE SSCI 2015; https://www.kaggle.com/datasets/mlg-ulb/creditcardfraud. Its columns are
Time, V1 to V28 (principal components), Amount and Class: nobody's card, nobody's shop. There is nothing to
keep windows over, so it can be scored, not replayed.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from fraudsim.errors import FraudsimError

COLUMNS: Final = ("Time", *(f"V{number}" for number in range(1, 29)), "Amount", "Class")


def refuse_ulb(path: Path, header: Collection[str]) -> None:
    """Raise if a header is of this layout.

    Raises:
        FraudsimError: it is.
    """
    if set(COLUMNS) <= set(header):
        raise FraudsimError(
            f"ulb {path}: has no card and no merchant: it can only be scored offline, not replayed live"
        )
