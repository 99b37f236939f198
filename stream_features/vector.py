"""The feature vector: request features, and each entity's windows, in catalogue order."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from fraudsim.events import Transaction
from stream_features import encode
from stream_features.catalogue import DAY, FEATURES, HOUR, columns, specification
from stream_features.kernel_card import read_card
from stream_features.kernel_merchant import read_merchant
from stream_features.state import State

CHANNELS: Final = ("pos", "ecommerce", "atm", "recurring", "moto")
COUNTRY_BUCKETS: Final = 64
SIZE: Final = len(FEATURES)

_CARD, _MERCHANT = columns("card"), columns("merchant")
_CARD_SPEC, _MERCHANT_SPEC = specification("card"), specification("merchant")
_CARD_FROM, _CARD_TO = int(_CARD[0]), int(_CARD[-1]) + 1
_MERCHANT_FROM, _MERCHANT_TO = int(_MERCHANT[0]), int(_MERCHANT[-1]) + 1

Vector = npt.NDArray[np.float32]


def keys_of(tx: Transaction) -> list[tuple[str, str]]:
    """The (entity, key) pairs with state that a transaction has; absent entities are left out."""
    keys = [("card", tx.card_id)]
    if tx.merchant_id is not None:
        keys.append(("merchant", tx.merchant_id))
    return keys


def request_features(tx: Transaction) -> tuple[float, ...]:
    """What the transaction alone says, in catalogue order."""
    return (
        float(tx.amount_cents),
        tx.ts % DAY / HOUR,
        float((tx.ts // DAY + 3) % 7),
        float(CHANNELS.index(tx.channel)) if tx.channel else np.nan,
        float(tx.mcc) if tx.mcc is not None else np.nan,
        float(encode.id_hash(tx.country) % COUNTRY_BUCKETS) if tx.country else np.nan,
    )


def vector(
    tx: Transaction, card: State | None, merchant: State | None, horizon_ms: int
) -> tuple[Vector, bool]:
    """Every feature of `tx` at its own ts from states that need not know of it yet, shape (SIZE,).

    A state of None is one that cannot be read: its features are null. The flag is False where a state
    could not answer as far back as the transaction's ts.
    """
    out = np.full(SIZE, np.nan)
    out[:_CARD_FROM] = request_features(tx)
    _, amount, merchant_hash, place = encode.card_row(tx)
    whole = True
    if card is not None:
        whole = read_card(
            card, _CARD_SPEC, tx.ts, horizon_ms, amount, merchant_hash, place, out[_CARD_FROM:_CARD_TO]
        )
    if merchant is not None:
        whole &= read_merchant(
            merchant, _MERCHANT_SPEC, tx.ts, horizon_ms, amount, out[_MERCHANT_FROM:_MERCHANT_TO]
        )
    return out.astype(np.float32), whole


def as_list(values: Vector) -> list[float | None]:
    """For JSON: null where a feature is unknown; a float32 survives the way out and back."""
    return [None if math.isnan(value) else value for value in values.tolist()]


def as_vector(values: list[float | None]) -> Vector:
    """Back from JSON, shape (SIZE,)."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float32)
