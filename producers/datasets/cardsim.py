"""The loader of CardSim's simulated card payments, as its `export_transaction_data` writes them.

Allen, "CardSim: A Bayesian Simulator for Payment Card Fraud Detection Research", FEDS 2025-017,
https://doi.org/10.17016/FEDS.2025.017; https://github.com/jeffallen13/cardsim (`simulate` lists the columns:
run_id, day_index, date, time_seconds, hour, date_time, payer_id, payee_id, credit_card, remote, distance,
amount, fraud).

A payer pays by credit or debit card, so a card is the payer's number with credit or debit; the payee is the
merchant. A remote payment becomes e-commerce, one in person point of sale. Amounts are drawn and not rounded;
they become the nearest cent. `date_time` has no zone and is taken as UTC. Rows are not in order of time
within a day and have no id; the line number becomes one. The file has no typologies.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from producers.datasets.csv_file import read_blocks
from producers.datasets.layout import Batch, Layout

COLUMNS: Final = ("date_time", "payer_id", "payee_id", "credit_card", "remote", "amount", "fraud")


def batches(path: Path) -> Iterator[Batch]:
    """Read the file's rows as events."""
    for block in read_blocks("cardsim", path, COLUMNS):
        kind = block.choices("credit_card", {"0": "debit", "1": "credit"}).dictionary_decode()
        columns = {
            "ts": block.times_ms("date_time"),
            "card_id": pc.binary_join_element_wise(block.ids("payer_id"), kind, "-"),
            "merchant_id": block.ids("payee_id"),
            "amount_cents": block.cents("amount"),
            "channel": block.choices("remote", {"0": "pos", "1": "ecommerce"}),
        }
        yield block.batch("amount", columns, block.flags("fraud", "0", "1"))


LAYOUT: Final = Layout(
    name="cardsim",
    title="CardSim",
    form="CSV",
    columns=COLUMNS,
    batches=batches,
    ids={"card_id": "payer_id", "merchant_id": "payee_id"},
)
