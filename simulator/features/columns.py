"""Transactions as columns of integers, in order of time: what the kernels' rows are made of."""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Ints
from fraudsim.log.events import Transaction
from stream_features.catalogue.features import COUNTERPARTS, EXACT, KEY_FIELD
from stream_features.encode import NO_ID, id_hash, location_code
from stream_features.offline.columns import column, hashes, packed_locations

NOBODY: Final = NO_ID
"""The hash of an absent id."""


class RowColumns(NamedTuple):
    """Columns of transactions, shape (n,) each; ids as hashes, which also serve as keys."""

    ts: Ints
    amount: Ints
    card: Ints
    device: Ints
    merchant: Ints
    ip: Ints
    location: Ints

    @classmethod
    def of(cls, table: pa.Table) -> "RowColumns":
        """From a table of transactions."""
        keys = {entity: hashes(table, field) for entity, field in KEY_FIELD.items()}
        amount = column(table, "amount_cents").astype(np.int64)
        return cls(column(table, "ts").astype(np.int64), amount, location=packed_locations(table), **keys)

    @classmethod
    def of_one(cls, tx: Transaction) -> "RowColumns":
        """Of a single transaction."""
        keys = {entity: _one(id_hash(getattr(tx, field))) for entity, field in KEY_FIELD.items()}
        return cls(_one(tx.ts), _one(tx.amount_cents), location=_one(location_code(tx.lat, tx.lon)), **keys)

    def key(self, entity: str) -> Ints:
        """The keys of an entity; `NOBODY` where a transaction has none."""
        keys: Ints = getattr(self, entity)
        return keys

    def rows(self, entity: str, index: Ints) -> Ints:
        """The kernel's rows of an entity, shape (len(index), width)."""
        columns = [self.ts, self.amount, *(self.key(other) for other in COUNTERPARTS[entity])]
        if entity in EXACT:
            columns.append(self.location)
        return np.column_stack([values[index] for values in columns])

    def where(self, chosen: Flags | Ints) -> "RowColumns":
        """Some of the transactions."""
        return RowColumns(*(values[chosen] for values in self))

    def followed_by(self, later: "RowColumns") -> "RowColumns":
        """These transactions and later ones."""
        return RowColumns(*(np.concatenate(pair) for pair in zip(self, later, strict=True)))


def _one(value: int) -> Ints:
    return np.array([value], np.int64)
