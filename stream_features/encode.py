"""From events to the integers that the kernels fold."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from fraudsim.log.events import Label, Transaction

NO_PLACE: Final = -1
NOBODY: Final = 0
SOURCE_RANK: Final = {"customer": 0, "chargeback": 1, "analyst": 2}
"""Of labels known at the same millisecond, the higher rank stands."""

ExactRow = tuple[int, int, int, int, int]
TiledRow = tuple[int, int, int]
LabelRow = tuple[int, int, int]


@lru_cache(maxsize=200_000)
def id_hash(text: str | None) -> int:
    """64-bit hash of an id, the same on every platform; 0 stands for an absent one."""
    if text is None:
        return NOBODY
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True) or 1


def place(lat: float | None, lon: float | None) -> int:
    """A place to 1e-5 degrees (about 1 m) in one integer; -1 where it is absent."""
    if lat is None or lon is None:
        return NO_PLACE
    return (round((lat + 90.0) * 1e5) << 26) | round((lon + 180.0) * 1e5)


def card_row(tx: Transaction) -> ExactRow:
    """(ts ms, amount cents, merchant hash, device hash, place)."""
    return tx.ts, tx.amount_cents, id_hash(tx.merchant_id), id_hash(tx.device_id), place(tx.lat, tx.lon)


def device_row(tx: Transaction) -> ExactRow:
    """(ts ms, amount cents, card hash, merchant hash, place)."""
    return tx.ts, tx.amount_cents, id_hash(tx.card_id), id_hash(tx.merchant_id), place(tx.lat, tx.lon)


def tiled_row(tx: Transaction) -> TiledRow:
    """(ts ms, amount cents, card hash), for merchant and ip."""
    return tx.ts, tx.amount_cents, id_hash(tx.card_id)


ROW_OF: Final[dict[str, Callable[[Transaction], tuple[int, ...]]]] = {
    "card": card_row,
    "device": device_row,
    "merchant": tiled_row,
    "ip": tiled_row,
}
"""What an entity's state keeps of a transaction: ts, amount, counterparts as the catalogue orders them, …"""


def rows_of(tx: Transaction) -> tuple[ExactRow, ExactRow, TiledRow, TiledRow]:
    """What `ROW_OF` gives for each entity, in its order, at the price of little more than one."""
    ts, amount, where = tx.ts, tx.amount_cents, place(tx.lat, tx.lon)
    card, merchant, device = id_hash(tx.card_id), id_hash(tx.merchant_id), id_hash(tx.device_id)
    tiled = (ts, amount, card)
    return (ts, amount, merchant, device, where), (ts, amount, card, merchant, where), tiled, tiled


def label_row(label: Label) -> LabelRow:
    """(transaction hash, known_at ms, 2 · rank of the source + is_fraud)."""
    return id_hash(label.tx_id), label.known_at, 2 * SOURCE_RANK[label.source] + int(label.is_fraud)
