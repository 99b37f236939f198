"""From events to the integers that the kernel folds."""

import hashlib
from functools import lru_cache
from typing import Final

from fraudsim.events import Label, Transaction

NO_PLACE: Final = -1
NO_MERCHANT: Final = 0
SOURCE_RANK: Final = {"customer": 0, "chargeback": 1, "analyst": 2}
"""Of labels known at the same millisecond, the higher rank stands."""

CardRow = tuple[int, int, int, int]
MerchantRow = tuple[int, int]
LabelRow = tuple[int, int, int]


@lru_cache(maxsize=200_000)
def id_hash(text: str | None) -> int:
    """64-bit hash of an id, the same on every platform; 0 stands for an absent one."""
    if text is None:
        return NO_MERCHANT
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True) or 1


def place(lat: float | None, lon: float | None) -> int:
    """A place to 1e-5 degrees (about 1 m) in one integer; -1 where it is absent."""
    if lat is None or lon is None:
        return NO_PLACE
    return (round((lat + 90.0) * 1e5) << 26) | round((lon + 180.0) * 1e5)


def card_row(tx: Transaction) -> CardRow:
    """(ts ms, amount cents, merchant hash, place)."""
    return tx.ts, tx.amount_cents, id_hash(tx.merchant_id), place(tx.lat, tx.lon)


def merchant_row(tx: Transaction) -> MerchantRow:
    """(ts ms, amount cents)."""
    return tx.ts, tx.amount_cents


def label_row(label: Label) -> LabelRow:
    """(transaction hash, known_at ms, 2 · rank of the source + is_fraud)."""
    return id_hash(label.tx_id), label.known_at, 2 * SOURCE_RANK[label.source] + int(label.is_fraud)
