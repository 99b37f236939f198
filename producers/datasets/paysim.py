"""The loader of PaySim's simulated mobile money, PS_20174392719_1491204439457_log.csv.

Lopez-Rojas, Elmir and Axelsson, "PaySim: A Financial Mobile Money Simulator for Fraud Detection", EMSS 2016;
https://github.com/EdgarLopezPhD/PaySim; file: https://www.kaggle.com/datasets/ealaxi/paysim1.

There are no cards: the acting account, `nameOrig`, is used as one. `nameDest`, a merchant (M…) or an account
(C…), is the merchant of the event. A step is one hour of an unnamed month: step 1 is taken as the first hour
of 2016-01-01 UTC. The file gives no times within an hour, so its rows are spread evenly over it in the file's
order. Rows have no id; the line number becomes one. Amounts over the limit of an event (10 million) are
dropped and counted. Balances are not read. Fraud is a transfer and a cash-out; the row's type is its
typology. isFlaggedFraud is another system's decision and is not read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Ints
from producers.datasets.csv_file import read_blocks
from producers.datasets.layout import Batch, Layout

COLUMNS: Final = ("step", "type", "amount", "nameOrig", "nameDest", "isFraud")
START_MS: Final = 1_451_606_400_000
"""2016-01-01 00:00 UTC."""
HOUR_MS: Final = 3_600_000
_TYPES: Final = {name: name.lower() for name in ("CASH_IN", "CASH_OUT", "DEBIT", "PAYMENT", "TRANSFER")}
_LAST_STEP: Final = 1_000_000


def batches(path: Path) -> Iterator[Batch]:
    """Read the file's rows as events."""
    rows_of_step = np.zeros(_LAST_STEP + 1, np.int64)
    for block in read_blocks("paysim", path, ("step", "nameOrig")):
        rows_of_step += np.bincount(block.integers("step", 1, _LAST_STEP), minlength=_LAST_STEP + 1)
    earlier_rows = np.zeros(_LAST_STEP + 1, np.int64)
    for block in read_blocks("paysim", path, COLUMNS):
        step = block.integers("step", 1, _LAST_STEP)
        index_in_step = earlier_rows[step] + _index_among_equals(step)
        earlier_rows += np.bincount(step, minlength=_LAST_STEP + 1)
        is_fraud = block.flags("isFraud", "0", "1")
        columns = {
            "ts": START_MS + (step - 1) * HOUR_MS + index_in_step * HOUR_MS // rows_of_step[step],
            "card_id": block.ids("nameOrig"),
            "merchant_id": block.ids("nameDest"),
            "amount_cents": block.cents("amount"),
        }
        kind = block.choices("type", _TYPES).dictionary_decode()
        typology = pc.if_else(pa.array(is_fraud), kind, pa.scalar(None, pa.string()))
        yield block.batch("amount", columns, is_fraud, typology)


def _index_among_equals(values: Ints) -> Ints:
    """For each value, how many equal values precede it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(np.append(starts, len(values)))
    index = np.empty(len(values), np.int64)
    index[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return index


LAYOUT: Final = Layout(
    name="paysim",
    title="PaySim",
    form="CSV",
    columns=COLUMNS,
    batches=batches,
    ids={"card_id": "nameOrig", "merchant_id": "nameDest"},
)
