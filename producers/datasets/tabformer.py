"""The loader of IBM's synthetic card transactions, card_transaction.v1.csv.

Padhi et al., "Tabular Transformers for Modeling Multivariate Time Series", ICASSP 2021;
https://github.com/IBM/TabFormer. The file is also known as credit_card_transactions-ibm_v2.csv. Generator:
Altman, "Synthesizing Credit Card Transactions", 2019, https://arxiv.org/abs/1910.03033.

A card is User-Card, because cards are numbered per user. `Merchant Name` is a number and is the merchant.
`Use Chip` gives the channel: Online is e-commerce, Swipe and Chip point of sale. Amounts have a $, so the
currency is USD. A state of two letters is in the US; any other is the name of a country, which becomes its
code if `countries` has it and is absent otherwise. Times are to the minute, without zone, taken as UTC. Rows
have no id; the line number becomes one. Refunds (below $0) are dropped and counted; declined requests
(`Errors?`) are authorisations too and stay. The file has no typologies.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Ints
from producers.datasets.countries import CODES
from producers.datasets.csv_block import CsvBlock
from producers.datasets.csv_file import read_blocks
from producers.datasets.layout import Batch, Layout

COLUMNS: Final = (
    "User",
    "Card",
    "Year",
    "Month",
    "Day",
    "Time",
    "Amount",
    "Use Chip",
    "Merchant Name",
    "Merchant State",
    "MCC",
    "Is Fraud?",
)
_CHANNELS: Final = {
    "Swipe Transaction": "pos",
    "Chip Transaction": "pos",
    "Online Transaction": "ecommerce",
}


def batches(path: Path) -> Iterator[Batch]:
    """Read the file's rows as events."""
    for block in read_blocks("tabformer", path, COLUMNS):
        block.integers("User", 0, 10**9)
        block.integers("Card", 0, 10**9)
        card = pc.binary_join_element_wise(block.texts("User"), block.texts("Card"), "-")
        columns = {
            "ts": _times_ms(block),
            "card_id": card,
            "merchant_id": block.ids("Merchant Name"),
            "amount_cents": block.cents("Amount", "$"),
            "currency": pa.DictionaryArray.from_arrays(np.zeros(len(block), np.int32), ["USD"]),
            "mcc": block.integers("MCC", 0, 9999),
            "channel": block.choices("Use Chip", _CHANNELS),
            "country": _countries(block.texts("Merchant State")),
        }
        yield block.batch("Amount", columns, block.flags("Is Fraud?", "No", "Yes"))


def _times_ms(block: CsvBlock) -> Ints:
    year = block.integers("Year", 1970, 9999)
    month = block.integers("Month", 1, 12)
    day = block.integers("Day", 1, 31)
    days = (year - 1970).astype("M8[Y]").astype("M8[M]") + (month - 1)
    date = days.astype("M8[D]") + (day - 1)
    block.refuse("Day", date.astype("M8[M]") != days, "is not a day of its month")
    time = block.texts("Time")
    valid = np.asarray(pc.match_substring_regex(time, "^([01][0-9]|2[0-3]):[0-5][0-9]$"))
    block.refuse("Time", ~valid, "is not a time like 06:21")
    hour = pc.utf8_slice_codeunits(time, 0, 2).cast(pa.int64()).to_numpy()
    minute = pc.utf8_slice_codeunits(time, 3, 5).cast(pa.int64()).to_numpy()
    return date.astype("M8[ms]").astype(np.int64) + (hour * 60 + minute) * 60_000


def _countries(state: pa.StringArray) -> pa.Array:
    in_us = pc.match_substring_regex(state, "^[A-Z]{2}$")
    code = pa.array(list(CODES.values())).take(pc.index_in(state, value_set=pa.array(list(CODES))))
    return pc.if_else(in_us, "US", code).dictionary_encode()


LAYOUT: Final = Layout(
    name="tabformer",
    title="IBM TabFormer (card_transaction.v1.csv)",
    form="CSV",
    columns=COLUMNS,
    batches=batches,
    ids={"merchant_id": "Merchant Name"},
)
