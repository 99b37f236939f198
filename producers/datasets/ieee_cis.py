"""The loader of Vesta's e-commerce payments, train_transaction.csv and train_identity.csv of IEEE-CIS.

IEEE Computational Intelligence Society and Vesta, "IEEE-CIS Fraud Detection", 2019,
https://www.kaggle.com/competitions/ieee-fraud-detection/data.

The file has no card number. card1 to card6 (issuer, network, kind, country, all coded) and addr1 (billing
region) together are used as the card: two cards that share all seven are one here. There is no merchant,
location or category, so these are absent; so are countries, whose coding is not published. The identity file
in the same folder (`identity` in its name instead of `transaction`) gives the device of some transactions:
type, model, system, browser and screen are hashed to a device id if the model is present. A file into which
the identity file has been merged, with its column DeviceInfo, gives the same devices. TransactionDT
counts seconds from an unpublished moment, taken as 2017-12-01 00:00 UTC. Amounts have up to three decimals
and become the nearest cent. The file has no typologies. The test files have no isFraud and cannot be
replayed. C, D, M and V columns are Vesta's own features and are not read.
"""

import hashlib
from collections.abc import Iterator
from itertools import starmap
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.errors import FraudsimError
from producers.datasets.csv_block import CsvBlock
from producers.datasets.csv_file import read_blocks
from producers.datasets.csv_form import read_form
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
_DEVICE: Final = IDENTITY_COLUMNS[1:]
_LAST_SECOND: Final = 10**9


def batches(path: Path) -> Iterator[Batch]:
    """Read the file's rows as events."""
    merged = "DeviceInfo" in read_form(path).header
    device_tx_ids, devices = (None, None) if merged else _read_devices(path)
    for block in read_blocks("ieee-cis", path, (*COLUMNS, *_DEVICE) if merged else COLUMNS):
        tx_id = block.ids("TransactionID")
        columns = {
            "tx_id": tx_id,
            "ts": START_MS + 1000 * block.integers("TransactionDT", 0, _LAST_SECOND),
            "card_id": _cards(block),
            "device_id": (
                _devices(block)
                if devices is None
                else devices.take(pc.index_in(tx_id, value_set=device_tx_ids))
            ),
            "amount_cents": block.cents("TransactionAmt"),
        }
        yield block.batch("TransactionAmt", columns, block.flags("isFraud", "0", "1"))


def _cards(block: CsvBlock) -> pa.StringArray:
    block.ids("card1")
    # Pandas wrote whole numbers as 150.0 in columns with missing values.
    parts = [pc.replace_substring_regex(block.texts(name), r"\.0$", "") for name in _CARD]
    joined = pc.binary_join_element_wise(*parts, "-")
    return block.check_ids("card1", pc.replace_substring(joined, " ", "_"))


def _read_devices(path: Path) -> tuple[pa.StringArray, pa.StringArray]:
    """Transaction ids of the identity file and their devices; empty without such a file."""
    ids, devices = [pa.array([], pa.string())], [pa.array([], pa.string())]
    identity_file = path.with_name(path.name.replace("transaction", "identity"))
    if identity_file != path and identity_file.is_file():
        for block in read_blocks("ieee-cis", identity_file, IDENTITY_COLUMNS):
            ids.append(block.ids("TransactionID"))
            devices.append(_devices(block))
    tx_ids = pa.concat_arrays(ids)
    if len(tx_ids.unique()) < len(tx_ids):
        repeated = next(row["values"] for row in tx_ids.value_counts().to_pylist() if row["counts"] > 1)
        raise FraudsimError(f"ieee-cis {identity_file}: TransactionID={repeated!r} occurs twice")
    return tx_ids, pa.concat_arrays(devices)


def _devices(block: CsvBlock) -> pa.StringArray:
    parts = zip(*(block.texts(name).to_pylist() for name in _DEVICE), strict=True)
    return pa.array(starmap(_device, parts), pa.string())


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
    version=2,
    tx_id="TransactionID",
    ids={"tx_id": "TransactionID", "card_id": "card1"},
)
