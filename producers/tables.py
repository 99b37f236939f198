"""Days as Arrow tables whose columns bear the names of the events' fields."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from producers.catalogue import COUNTRIES, CURRENCY
from producers.columns import ATM, CHANNELS, POS
from producers.labels import SOURCES, LabelColumns
from producers.population import Population
from producers.rng import hex16
from producers.world import Day

WORD: Final = pa.dictionary(pa.int32(), pa.string())
TRANSACTIONS: Final = pa.schema(
    [
        ("tx_id", pa.string()),
        ("ts", pa.int64()),
        ("card_id", WORD),
        ("merchant_id", WORD),
        ("device_id", WORD),
        ("ip", WORD),
        ("amount_cents", pa.int64()),
        ("currency", WORD),
        ("mcc", pa.int16()),
        ("channel", WORD),
        ("country", WORD),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
    ]
)
LABELS: Final = pa.schema(
    [
        ("tx_id", pa.string()),
        ("card_id", WORD),
        ("merchant_id", WORD),
        ("ts", pa.int64()),
        ("amount_cents", pa.int64()),
        ("is_fraud", pa.bool_()),
        ("source", WORD),
        ("known_at", pa.int64()),
    ]
)
TRUTH: Final = pa.schema(
    [("tx_id", pa.string()), ("is_fraud", pa.bool_()), ("typology", WORD), ("campaign_id", WORD)]
)


_OCTETS: Final = pa.array([str(octet) for octet in range(256)])


class Tables(NamedTuple):
    """The transactions of some days, every label they will ever get, and the truth of each."""

    transactions: pa.Table
    labels: pa.Table
    truth: pa.Table


def card_id(number: int) -> str:
    """The id of a population's card, by its index."""
    return f"c{number:07d}"


def merchant_id(number: int) -> str:
    """The id of a population's merchant, by its index."""
    return f"m{number:06d}"


class Vocabulary:
    """The texts that a population's codes stand for."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.cards = pa.array([card_id(i) for i in range(len(population.cards))])
        self.merchants = pa.array([merchant_id(i) for i in range(len(population.merchants))])

    def tables(self, day: Day, typologies: list[str]) -> Tables:
        """One day as tables; the codes of `day.typology` stand for `typologies`."""
        transactions = self.transactions(day)
        truth = pa.Table.from_arrays(
            [
                transactions["tx_id"],
                pa.array(day.is_fraud),
                _coded(day.typology, pa.array(typologies)),
                _coded(day.campaign, pa.array(day.campaign_ids, pa.string())),
            ],
            schema=TRUTH,
        )
        return Tables(transactions, labels_table(transactions, day.labels), truth)

    def labels(self, day: Day) -> pa.Table:
        """Only a day's labels."""
        return labels_table(self.transactions(day), day.labels)

    def transactions(self, day: Day) -> pa.Table:
        """Only a day's transactions."""
        rows = day.transactions
        merchants = self.population.merchants
        tx_id = _fixed(hex16(day.tx_number))
        card = _coded(rows.card, self.cards)
        merchant = _coded(rows.merchant, self.merchants)
        present = (rows.channel == POS) | (rows.channel == ATM)
        return pa.Table.from_arrays(
            [
                tx_id,
                pa.array(rows.ts),
                card,
                merchant,
                devices(rows.device),
                addresses(rows.ip),
                pa.array(rows.amount_cents),
                _coded(np.zeros(len(rows), np.int32), pa.array([CURRENCY])),
                pa.array(merchants.mcc[rows.merchant]),
                _coded(rows.channel, pa.array(CHANNELS)),
                _coded(merchants.country[rows.merchant], pa.array(COUNTRIES)),
                pa.array(merchants.lat[rows.merchant], mask=~present),
                pa.array(merchants.lon[rows.merchant], mask=~present),
            ],
            schema=TRANSACTIONS,
        )


def labels_table(transactions: pa.Table, labels: LabelColumns) -> pa.Table:
    """Labels with the keys of the transactions whose rows they name."""
    row = pa.array(labels.row)
    keys = {name: transactions[name].take(row) for name in LABELS.names[:5]}
    return pa.table(
        {
            **keys,
            "is_fraud": pa.array(labels.is_fraud),
            "source": _coded(labels.source, pa.array(SOURCES)),
            "known_at": pa.array(labels.known_at),
        },
        schema=LABELS,
    )


def sort_labels(labels: pa.Table) -> pa.Table:
    """Labels in the order they become known: by (known_at, tx_id, source)."""
    keys = [("known_at", "ascending"), ("tx_id", "ascending"), ("source", "ascending")]
    plain = pa.table(
        {
            "known_at": labels["known_at"],
            "tx_id": labels["tx_id"],
            "source": labels["source"].cast(pa.string()),
        }
    )
    return labels.take(pc.sort_indices(plain, sort_keys=keys))


def _coded(codes: NDArray[np.signedinteger], words: pa.Array) -> pa.DictionaryArray:
    """Codes into words; negative codes are null."""
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, words)


def _fixed(texts: NDArray[np.bytes_]) -> pa.StringArray:
    """Strings of equal length from `S…`, without a loop."""
    width = texts.dtype.itemsize
    offsets = np.arange(0, (len(texts) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts.tobytes()))


def devices(numbers: NDArray[np.uint64]) -> pa.DictionaryArray:
    """Device ids from device numbers; 0 is null."""
    return _distinct(numbers, lambda unique: pc.binary_join_element_wise("d", _fixed(hex16(unique)), ""))


def addresses(numbers: NDArray[np.uint32]) -> pa.DictionaryArray:
    """Dotted IPv4 addresses; 0 is null."""
    return _distinct(numbers, _dotted)


def _dotted(numbers: NDArray[np.uint32]) -> pa.Array:
    octets = [pc.take(_OCTETS, pa.array(numbers >> shift & 255)) for shift in (24, 16, 8, 0)]
    return pc.binary_join_element_wise(*octets, ".")


def _distinct(
    numbers: NDArray[np.unsignedinteger], text_of: Callable[[NDArray[Any]], pa.Array]
) -> pa.DictionaryArray:
    """Each number in the words that `text_of` has for the distinct ones; 0 is null."""
    coded = pa.array(numbers, mask=numbers == 0).dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices, text_of(coded.dictionary.to_numpy()))
