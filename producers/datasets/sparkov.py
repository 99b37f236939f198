"""The loader of Sparkov's simulated card transactions, fraudTrain.csv and fraudTest.csv.

Generator: B. Harris, https://github.com/namebrandon/Sparkov_Data_Generation; files: K. Shenoy, "Credit Card
Transactions Fraud Detection Dataset", https://www.kaggle.com/datasets/kartik2112/fraud-detection. The first
column has no name or is called index; it is not read. The generator's own output is read too: separated by
`|`, with the time in two columns, trans_date and trans_time.

`cc_num` is the card, `merchant` the merchant (every name begins with fraud_, honest rows too; blanks are
written `_`), `merch_lat` and `merch_long` the location. The channel follows from the end of the category:
_pos is point of sale, _net e-commerce, otherwise it is absent. Categories are not MCCs, so the MCC is absent;
`lat` and `long` are the cardholder's home and are not read. `trans_date_trans_time` has no zone and is taken
as UTC; `unix_time` is of other years (the first row of 2019 has 1325376018, in 2012) and is not read. The
file has no typologies.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from producers.datasets.csv_file import read_blocks
from producers.datasets.csv_form import read_form
from producers.datasets.layout import Batch, Layout

COLUMNS: Final = (
    "trans_date_trans_time",
    "cc_num",
    "merchant",
    "category",
    "amt",
    "trans_num",
    "merch_lat",
    "merch_long",
    "is_fraud",
)
GENERATOR_COLUMNS: Final = ("trans_date", "trans_time", *COLUMNS[1:])


def batches(path: Path) -> Iterator[Batch]:
    """Read the file's rows as events."""
    header = read_form(path).header
    in_two = "trans_date_trans_time" not in header and {"trans_date", "trans_time"} <= set(header)
    for block in read_blocks("sparkov", path, GENERATOR_COLUMNS if in_two else COLUMNS):
        ts = block.times_ms("trans_date", "trans_time") if in_two else block.times_ms("trans_date_trans_time")
        columns = {
            "tx_id": block.ids("trans_num"),
            "ts": ts,
            "card_id": block.ids("cc_num"),
            "merchant_id": block.names("merchant"),
            "amount_cents": block.cents("amt"),
            "channel": _channels(block.texts("category")),
            "lat": block.numbers("merch_lat", -90, 90),
            "lon": block.numbers("merch_long", -180, 180),
        }
        yield block.batch("amt", columns, block.flags("is_fraud", "0", "1"))


def _channels(category: pa.StringArray) -> pa.Array:
    is_pos, is_net = (np.asarray(pc.ends_with(category, ending)) for ending in ("_pos", "_net"))
    code = pa.array(np.where(is_net, 1, 0).astype(np.int32), mask=~(is_pos | is_net))
    return pa.DictionaryArray.from_arrays(code, pa.array(["pos", "ecommerce"]))


LAYOUT: Final = Layout(
    name="sparkov",
    title="Sparkov (fraudTrain.csv)",
    form="CSV",
    columns=COLUMNS,
    batches=batches,
    tx_id="trans_num",
    ids={"tx_id": "trans_num", "card_id": "cc_num"},
)
