"""Published base rates of card fraud, for comparison with a history. Every rate names its source."""

from dataclasses import dataclass
from typing import Final, Literal

Measure = Literal[
    "fraud_of_number",
    "fraud_of_value",
    "remote_of_fraud_number",
    "remote_of_fraud_value",
    "remote_of_number",
    "mean_amount",
    "per_card_day",
]
MEASURES: Final[dict[Measure, str]] = {
    "fraud_of_number": "Fraud, share of the number of transactions",
    "fraud_of_value": "Fraud, share of the value of transactions",
    "remote_of_fraud_number": "Card-not-present, share of the number of frauds",
    "remote_of_fraud_value": "Card-not-present, share of the value of fraud",
    "remote_of_number": "Card-not-present, share of the number of transactions",
    "mean_amount": "Mean amount of a transaction",
    "per_card_day": "Transactions of a card on a day",
}


@dataclass(frozen=True)
class PublishedRate:
    """One published rate."""

    measure: Measure
    value: str
    """As published, with its unit."""
    of: str
    """What was counted: which cards, where, in which year."""
    source: str
    """Publisher, title, year of publication."""


_EBA_2024: Final = "EBA and ECB, 2024 Report on Payment Fraud (2024)"
_UK_2021: Final = "UK Finance, Fraud – The Facts 2021 (2021)"
_DIARY_2023: Final = "Foster, Greene & Stavins, 2023 Survey and Diary of Consumer Payment Choice (2024)"
_FED_2018: Final = "Federal Reserve, Changes in U.S. Payments Fraud from 2012 to 2016 (2018)"

PUBLISHED_RATES: Final = (
    PublishedRate("fraud_of_number", "0.015 %", "cards issued in the EEA, first half of 2023", _EBA_2024),
    PublishedRate(
        "fraud_of_number",
        "0.172 %",
        "492 of 284,807 transactions of European cardholders, two days of 2013",
        "Dal Pozzolo et al., Calibrating Probability with Undersampling, IEEE CIDM (2015): the ULB data set",
    ),
    PublishedRate(
        "fraud_of_number",
        "3.50 %",
        "web purchases seen by a payment guarantor (Vesta), training part",
        "Grover et al., Fraud Dataset Benchmark (2022): the IEEE-CIS data set",
    ),
    PublishedRate("fraud_of_value", "0.031 %", "cards issued in the EEA, first half of 2023", _EBA_2024),
    PublishedRate(
        "fraud_of_value",
        "0.036 %",
        "cards issued in SEPA, used worldwide, 2019",
        "ECB, Seventh report on card fraud (2021)",
    ),
    PublishedRate("fraud_of_value", "0.1346 %", "U.S. general-purpose cards, 2016", _FED_2018),
    PublishedRate(
        "remote_of_fraud_number", "85 %", "2,417,866 of 2,835,622 cases on UK cards, 2020", _UK_2021
    ),
    PublishedRate("remote_of_fraud_value", "79 %", "UK cards, 2020", _UK_2021),
    PublishedRate(
        "remote_of_fraud_value",
        "79 %",
        "cards issued in SEPA, 2018",
        "ECB, Sixth report on card fraud (2020), quoted in the Fraud Detection Handbook",
    ),
    PublishedRate(
        "remote_of_fraud_value",
        "54 %",
        "worldwide, 2018",
        "The Nilson Report (2019), quoted in the Fraud Detection Handbook",
    ),
    PublishedRate("remote_of_number", "22 %", "purchases of U.S. consumers, however paid, 2023", _DIARY_2023),
    PublishedRate(
        "mean_amount",
        "about € 40",
        "card payments in the euro area, first half of 2023",
        "ECB, Payments statistics: first half of 2023",
    ),
    PublishedRate("per_card_day", "0.97", "29.5 card payments a month of a U.S. consumer, 2023", _DIARY_2023),
)
