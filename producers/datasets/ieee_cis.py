"""Vesta's e-commerce payments of the IEEE-CIS competition: train_transaction.csv, with train_identity.csv.

IEEE Computational Intelligence Society and Vesta, "IEEE-CIS Fraud Detection", 2019,
https://www.kaggle.com/competitions/ieee-fraud-detection/data.

The file has no card number. card1 to card6 (issuer, network, kind, country, all coded) and addr1 (billing
region) together are the nearest to one and stand for it: two cards that share all seven are one here. There
is no merchant, place or category, so these are absent; countries are coded in a way that is not published,
so these are too. The identity file beside (its name has identity where this one's has transaction) says of
some transactions which device: type, model, system, browser and screen together stand for one, hashed,
where the model is known. TransactionDT counts seconds from a moment that is not published, taken as
2017-12-01 00:00 UTC. Amounts have up to three decimals and become the nearest cent. The file names no
typology. The test files have no isFraud and cannot be replayed. C, D, M and V columns are others' features
and are not read.
"""

import hashlib
from collections.abc import Iterator
from itertools import starmap
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.errors import FraudsimError
from producers.datasets.csv_block import CsvBlock
from producers.datasets.csv_file import read_blocks
from producers.datasets.layout import Batch, Layout

COLUMNS: Final = (
    "TransactionID",
    "isFraud",
    "TransactionDT",
    "TransactionAmt",
    "card1",
    "card2",
    "card3",
    "card4",
    "card5",
    "card6",
    "addr1",
)
IDENTITY_COLUMNS: Final = ("TransactionID", "DeviceType", "DeviceInfo", "id_30", "id_31", "id_33")
START_MS: Final = 1_512_086_400_000
"""2017-12-01 00:00 UTC."""
_CARD: Final = COLUMNS[4:]
_LAST_SECOND: Final = 10**9


def batches(path: Path) -> Iterator[Batch]:
    """The file's rows as events."""
    known, devices = _read_devices(path)
    for block in read_blocks("ieee-cis", path, COLUMNS):
        tx_id = block.ids("TransactionID")
        columns = {
            "tx_id": tx_id,
            "ts": START_MS + 1000 * block.integers("TransactionDT", 0, _LAST_SECOND),
            "card_id": _cards(block),
            "device_id": devices.take(pc.index_in(tx_id, value_set=known)),
            "amount_cents": block.cents("TransactionAmt"),
        }
        yield block.batch("TransactionAmt", columns, block.flags("isFraud", "0", "1"))


def _cards(block: CsvBlock) -> pa.StringArray:
    block.refuse("card1", np.asarray(pc.equal(block.texts("card1"), "")), "is missing")
    # Pandas wrote whole numbers with gaps among them as 150.0.
    parts = [pc.replace_substring_regex(block.texts(name), r"\.0$", "") for name in _CARD]
    joined = pc.binary_join_element_wise(*parts, "-")
    return block.as_ids("card1", pc.replace_substring(joined, " ", "_"))


def _read_devices(path: Path) -> tuple[pa.StringArray, pa.StringArray]:
    """Transactions of the identity file and their devices; none if there is no such file."""
    ids, devices = [pa.array([], pa.string())], [pa.array([], pa.string())]
    beside = path.with_name(path.name.replace("transaction", "identity"))
    if beside != path and beside.is_file():
        for block in read_blocks("ieee-cis", beside, IDENTITY_COLUMNS):
            ids.append(block.ids("TransactionID"))
            about = zip(*(block.texts(name).to_pylist() for name in IDENTITY_COLUMNS[1:]), strict=True)
            devices.append(pa.array(starmap(_device, about), pa.string()))
    every = pa.concat_arrays(ids)
    if len(every.unique()) < len(every):
        twice = next(row["values"] for row in every.value_counts().to_pylist() if row["counts"] > 1)
        raise FraudsimError(f"ieee-cis {beside}: TransactionID={twice!r} stands twice")
    return every, pa.concat_arrays(devices)


def _device(kind: str, model: str, system: str, browser: str, screen: str) -> str | None:
    if not model:
        return None
    return hashlib.sha256("\n".join((kind, model, system, browser, screen)).encode()).hexdigest()[:16]


LAYOUT: Final = Layout(
    name="ieee-cis",
    title="IEEE-CIS (train_transaction.csv)",
    form="CSV",
    columns=COLUMNS,
    batches=batches,
    tx_id="TransactionID",
)
