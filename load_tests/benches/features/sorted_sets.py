"""Features from Redis sorted sets: one set per key, one ZRANGEBYSCORE for each of its windows."""

from collections.abc import Iterable
from typing import Any, Final

from fraudsim.log.events import Transaction
from stream_features.catalogue.features import FEATURES, KEY_FIELD, WINDOWED

WINDOWS: Final = {
    entity: sorted({feature.window_ms for feature in FEATURES if feature.entity == entity})
    for entity in WINDOWED
}
"""The catalogue's windows by entity, ms, ascending."""


def key_of(field: str, value: str) -> str:
    """Redis key of the sorted set of a field's value."""
    return f"zset:{field}:{value}"


def member_of(tx: Transaction) -> str:
    """A member, from which every window of an entity can be computed; its score is the time."""
    return f"{tx.tx_id}:{tx.amount_cents}:{tx.card_id}:{tx.merchant_id}:{tx.device_id}:{tx.lat}:{tx.lon}"


def add_transactions(pipe: Any, transactions: Iterable[Transaction]) -> None:
    """Add transactions to the sorted sets of all their entities."""
    for tx in transactions:
        for field in KEY_FIELD.values():
            value = getattr(tx, field)
            if value is not None:
                pipe.zadd(key_of(field, value), {member_of(tx): tx.ts})


def query_windows(pipe: Any, tx: Transaction) -> list[tuple[str, int]]:
    """Queue the query of every window of a transaction's entities, up to its ts, exclusive.

    Returns:
        (entity, window in ms) of each query, in order.
    """
    queries: list[tuple[str, int]] = []
    for entity, field in KEY_FIELD.items():
        value = getattr(tx, field)
        if value is None:
            continue
        for window_ms in WINDOWS[entity]:
            pipe.zrangebyscore(key_of(field, value), tx.ts - window_ms, f"({tx.ts}")
            queries.append((entity, window_ms))
    return queries


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
