"""Encoding of events as rows of integers, which the kernels fold."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from fraudsim.log.events import Label, Transaction

NO_LOCATION: Final = -1
NO_ID: Final = 0
SOURCE_RANK: Final = {"customer": 0, "chargeback": 1, "analyst": 2}
"""Of labels known at the same millisecond, the one of the higher rank decides."""

ExactRow = tuple[int, int, int, int, int]
TiledRow = tuple[int, int, int]
LabelRow = tuple[int, int, int]


@lru_cache(maxsize=200_000)
def id_hash(text: str | None) -> int:
    """64-bit hash of an id, the same on every platform; 0 for an absent one."""
    if text is None:
        return NO_ID
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True) or 1


def location_code(lat: float | None, lon: float | None) -> int:
    """A location to 1e-5 degrees (about 1 m) in one integer; -1 where it is absent."""
    if lat is None or lon is None:
        return NO_LOCATION
    return (round((lat + 90.0) * 1e5) << 26) | round((lon + 180.0) * 1e5)


def card_row(tx: Transaction) -> ExactRow:
    """(ts ms, amount cents, merchant hash, device hash, location code)."""
    location = location_code(tx.lat, tx.lon)
    return tx.ts, tx.amount_cents, id_hash(tx.merchant_id), id_hash(tx.device_id), location


def device_row(tx: Transaction) -> ExactRow:
    """(ts ms, amount cents, card hash, merchant hash, location code)."""
    location = location_code(tx.lat, tx.lon)
    return tx.ts, tx.amount_cents, id_hash(tx.card_id), id_hash(tx.merchant_id), location


def tiled_row(tx: Transaction) -> TiledRow:
    """(ts ms, amount cents, card hash), for merchant and ip."""
    return tx.ts, tx.amount_cents, id_hash(tx.card_id)


ROW_OF: Final[dict[str, Callable[[Transaction], tuple[int, ...]]]] = {
    "card": card_row,
    "device": device_row,
    "merchant": tiled_row,
    "ip": tiled_row,
}
"""The row that an entity's state keeps of a transaction: ts, amount, counterparts in catalogue order, …"""


def rows_of(tx: Transaction) -> tuple[ExactRow, ExactRow, TiledRow, TiledRow]:
    """The rows of `ROW_OF` for all entities, in its order, at little more than the cost of one."""
    ts, amount, location = tx.ts, tx.amount_cents, location_code(tx.lat, tx.lon)
    card, merchant, device = id_hash(tx.card_id), id_hash(tx.merchant_id), id_hash(tx.device_id)
    tiled = (ts, amount, card)
    return (ts, amount, merchant, device, location), (ts, amount, card, merchant, location), tiled, tiled


def label_row(label: Label) -> LabelRow:
    """(transaction hash, known_at ms, 2 · rank of the source + is_fraud)."""
    return id_hash(label.tx_id), label.known_at, 2 * SOURCE_RANK[label.source] + int(label.is_fraud)
