"""Days as Arrow tables whose columns have the names of the events' fields.

Ids of a world stay numbers, in memory and in Parquet, until a reader or the live stream needs texts.
"""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudsim.archive.id_columns import IPV4, spelled, text_field, word_field
from producers.labels.delays import SOURCES, LabelColumns
from producers.population.columns import ATM, CHANNELS, POS
from producers.population.population import Population
from producers.reference import COUNTRIES, CURRENCY
from producers.world.day import Day

DICTIONARY: Final = pa.dictionary(pa.int32(), pa.string())
TRANSACTIONS: Final = pa.schema(
    [
        ("tx_id", pa.string()),
        ("ts", pa.int64()),
        ("card_id", DICTIONARY),
        ("merchant_id", DICTIONARY),
        ("device_id", DICTIONARY),
        ("ip", DICTIONARY),
        ("amount_cents", pa.int64()),
        ("currency", DICTIONARY),
        ("mcc", pa.int16()),
        ("channel", DICTIONARY),
        ("country", DICTIONARY),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
    ]
)
LABELS: Final = pa.schema(
    [
        ("tx_id", pa.string()),
        ("card_id", DICTIONARY),
        ("merchant_id", DICTIONARY),
        ("ts", pa.int64()),
        ("amount_cents", pa.int64()),
        ("is_fraud", pa.bool_()),
        ("source", DICTIONARY),
        ("known_at", pa.int64()),
    ]
)
TRUTH: Final = pa.schema(
    [("tx_id", pa.string()), ("is_fraud", pa.bool_()), ("typology", DICTIONARY), ("campaign_id", DICTIONARY)]
)

_TX_ID: Final = text_field("tx_id", pa.uint64(), "%016x")
NUMERIC_TRANSACTIONS: Final = pa.schema(
    [
        _TX_ID,
        TRANSACTIONS.field("ts"),
        word_field("card_id", pa.uint32(), "c%07d"),
        word_field("merchant_id", pa.uint32(), "m%06d"),
        word_field("device_id", pa.uint64(), "d%016x"),
        word_field("ip", pa.uint32(), IPV4),
        *list(TRANSACTIONS)[6:],
    ]
)
"""`TRANSACTIONS` with numbers for ids; the field metadata tells the format of each id."""
_NUMERIC_TRUTH: Final = pa.schema([_TX_ID, *list(TRUTH)[1:]])


class Tables(NamedTuple):
    """Transactions, every label they will ever get, and the truth of each transaction."""

    transactions: pa.Table
    labels: pa.Table
    truth: pa.Table

    def with_text_ids(self) -> "Tables":
        """The same tables with texts for ids that are numbers."""
        return Tables(*map(spelled, self))


def card_id(number: int) -> str:
    """The id of a population's card, by its index."""
    return f"c{number:07d}"


def merchant_id(number: int) -> str:
    """The id of a population's merchant, by its index."""
    return f"m{number:06d}"


def day_tables(population: Population, day: Day, typologies: list[str]) -> Tables:
    """One day as tables with numbers for ids; `day.typology` indexes `typologies`."""
    rows, merchants = day.transactions, population.merchants
    tx_id = pa.array(day.tx_number)
    not_present = (rows.channel != POS) & (rows.channel != ATM)
    transactions = pa.Table.from_arrays(
        [
            tx_id,
            pa.array(rows.ts),
            pa.array(rows.card.view(np.uint32)),
            pa.array(rows.merchant.view(np.uint32)),
            pa.array(rows.device, mask=rows.device == 0),
            pa.array(rows.ip, mask=rows.ip == 0),
            pa.array(rows.amount_cents),
            _dictionary_array(np.zeros(len(rows), np.int32), pa.array([CURRENCY])),
            pa.array(merchants.mcc[rows.merchant]),
            _dictionary_array(rows.channel, pa.array(CHANNELS)),
            _dictionary_array(merchants.country[rows.merchant], pa.array(COUNTRIES)),
            pa.array(merchants.lat[rows.merchant], mask=not_present),
            pa.array(merchants.lon[rows.merchant], mask=not_present),
        ],
        schema=NUMERIC_TRANSACTIONS,
    )
    truth = pa.Table.from_arrays(
        [
            tx_id,
            pa.array(day.is_fraud),
            _dictionary_array(day.typology, pa.array(typologies)),
            _dictionary_array(day.campaign, pa.array(day.campaign_ids, pa.string())),
        ],
        schema=_NUMERIC_TRUTH,
    )
    return Tables(transactions, labels_table(transactions, day.labels), truth)


def labels_table(transactions: pa.Table, labels: LabelColumns) -> pa.Table:
    """Labels with the keys of their transactions; `labels.row` indexes `transactions`."""
    row = pa.array(labels.row)
    keys = {name: transactions[name].take(row) for name in LABELS.names[:5]}
    return pa.table(
        {
            **keys,
            "is_fraud": pa.array(labels.is_fraud),
            "source": _dictionary_array(labels.source, pa.array(SOURCES)),
            "known_at": pa.array(labels.known_at),
        },
        schema=pa.schema([*(transactions.schema.field(name) for name in keys), *list(LABELS)[len(keys) :]]),
    )


def sort_labels(labels: pa.Table) -> pa.Table:
    """Labels sorted by (known_at, tx_id, source), the order they become known."""
    keys = [("known_at", "ascending"), ("tx_id", "ascending"), ("source", "ascending")]
    plain = pa.table(
        {
            "known_at": labels["known_at"],
            "tx_id": labels["tx_id"],
            "source": labels["source"].cast(pa.string()),
        }
    )
    return labels.take(pc.sort_indices(plain, sort_keys=keys))


def _dictionary_array(codes: NDArray[np.signedinteger], words: pa.Array) -> pa.DictionaryArray:
    """A dictionary array from codes and words; negative codes are null."""
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, words)
