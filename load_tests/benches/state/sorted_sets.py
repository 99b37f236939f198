"""Features the usual way: a Redis sorted set per key, and one ZRANGEBYSCORE for each of its windows."""

from collections.abc import Iterable
from typing import Any, Final

from fraudsim.log.events import Transaction
from stream_features.catalogue.features import FEATURES, KEY_FIELD, WINDOWED

WINDOWS: Final = {
    entity: sorted({feature.window_ms for feature in FEATURES if feature.entity == entity})
    for entity in WINDOWED
}
"""Every window of the catalogue, by entity."""


def key_of(field: str, value: str) -> str:
    """The sorted set of what a transaction names in a field."""
    return f"zset:{field}:{value}"


def member_of(tx: Transaction) -> str:
    """What every window of an entity can be computed from; the score is the time."""
    return f"{tx.tx_id}:{tx.amount_cents}:{tx.card_id}:{tx.merchant_id}:{tx.device_id}:{tx.lat}:{tx.lon}"


def put(pipe: Any, transactions: Iterable[Transaction]) -> None:
    """Add transactions to the sorted sets of all their entities."""
    for tx in transactions:
        for field in KEY_FIELD.values():
            value = getattr(tx, field)
            if value is not None:
                pipe.zadd(key_of(field, value), {member_of(tx): tx.ts})


def windows_of(pipe: Any, tx: Transaction) -> list[tuple[str, int]]:
    """Ask for every window of a transaction's entities, before its ts. Returns which, in order."""
    asked: list[tuple[str, int]] = []
    for entity, field in KEY_FIELD.items():
        value = getattr(tx, field)
        if value is None:
            continue
        for window_ms in WINDOWS[entity]:
            pipe.zrangebyscore(key_of(field, value), tx.ts - window_ms, f"({tx.ts}")
            asked.append((entity, window_ms))
    return asked


def aggregates(members: list[bytes], tx: Transaction) -> tuple[int, int, int, int, int]:
    """Count, sum, max, distinct cards and distinct merchants, the transaction at hand included."""
    parts = [member.split(b":") for member in members]
    amounts = [int(part[1]) for part in parts]
    cards = {part[2] for part in parts} | {tx.card_id.encode()}
    merchants = {part[3] for part in parts} | {str(tx.merchant_id).encode()}
    return (
        len(amounts) + 1,
        sum(amounts) + tx.amount_cents,
        max(*amounts, tx.amount_cents) if amounts else tx.amount_cents,
        len(cards),
        len(merchants),
    )
