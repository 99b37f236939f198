"""The feature vector: request features, and each entity's windows, in catalogue order."""

import math
from collections.abc import Mapping
from operator import attrgetter
from typing import Final

import numpy as np

from fraudsim.log.events import Transaction
from stream_features.catalogue.features import (
    BUCKETS,
    CHANNELS,
    COUNTRY_BUCKETS,
    DAY,
    FEATURES,
    HOUR,
    KEY_FIELD,
    ROUND_CENTS,
    feature_indexes,
)
from stream_features.encode import ROW_OF, id_hash
from stream_features.kernels.state import KERNELS, State, Vector

SIZE: Final = len(FEATURES)

REQUEST_INDEXES: Final = feature_indexes("request")
key_values = attrgetter(*KEY_FIELD.values())
"""A transaction's keys in the order of `WINDOWED`; None where it has no such entity."""


def keys_of(tx: Transaction) -> list[tuple[str, str]]:
    """A transaction's (entity, key) pairs, in the order of `WINDOWED`; absent entities are left out."""
    return [pair for pair in zip(KEY_FIELD, key_values(tx), strict=True) if pair[1] is not None]


def bucket(text: str | None, buckets: int = BUCKETS) -> float:
    """A high-cardinality id hashed into one of `buckets`; NaN where it is absent."""
    return float(id_hash(text) % buckets) if text else math.nan


def network(ip: str | None) -> str | None:
    """The first half of an IPv4 address, or all of another."""
    return ".".join(ip.split(".")[:2]) if ip else None


def request_features(tx: Transaction) -> tuple[float, ...]:
    """The features that depend on the transaction alone, in catalogue order."""
    return (
        float(tx.amount_cents),
        float(tx.amount_cents % ROUND_CENTS == 0),
        tx.ts % DAY / HOUR,
        float((tx.ts // DAY + 3) % 7),
        float(CHANNELS.index(tx.channel)) if tx.channel else math.nan,
        float(tx.mcc) if tx.mcc is not None else math.nan,
        bucket(tx.country, COUNTRY_BUCKETS),
        bucket(f"{tx.mcc}:{tx.country}") if tx.mcc is not None and tx.country else math.nan,
        bucket(tx.merchant_id),
        bucket(network(tx.ip)),
    )


def vector(tx: Transaction, states: Mapping[str, State | None], horizon_ms: int) -> tuple[Vector, bool]:
    """Every feature of `tx` at its own ts, shape (SIZE,), and whether all states reach back to that ts.

    Args:
        states: by entity, with or without `tx` folded. The features of an entity are null where its state
            is missing or None (unreadable), or where the transaction has no such entity.
        horizon_ms: how far behind a state's newest event it can answer.
    """
    out = np.full(SIZE, np.nan, np.float32)
    out[REQUEST_INDEXES] = request_features(tx)
    complete = True
    for entity, state in states.items():
        if state is not None and getattr(tx, KEY_FIELD[entity]) is not None:
            complete &= KERNELS[entity].read(state, ROW_OF[entity](tx), horizon_ms, out)
    return out, complete


def as_list(values: Vector) -> list[float | None]:
    """The vector for JSON, with None for null; `as_vector` restores the same float32 values."""
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 — only NaN differs


def as_vector(values: list[float | None]) -> Vector:
    """The vector from its JSON form, shape (SIZE,)."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float32)
