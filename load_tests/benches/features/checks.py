"""Checks of the contestants of `bench features`: results for the sampled cards against brute force.

A rival reports as `seen` one of
- `records`: the number of transactions it read of each card; partitions are read in order, so the first ones;
- `values`: (tx_id, the card's count including it) for each transaction of the cards;
- `windows`: with `records`; by card and window start (ms) the number of transactions in the window;
- `sliding`: by card, for each record and window in turn, the end (ms) and the aggregates.

Each check raises InvariantError where a result differs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from redis import Redis

from fraudsim.errors import InvariantError
from fraudsim.log.events import Transaction
from fraudsim.log.partitioning import slot_of
from load_tests.benches.features.traffic import Traffic
from stream_features.catalogue.features import FEATURES
from stream_features.kernels import state as states
from stream_features.offline.oracle import oracle
from stream_features.store.keys import blob_key
from stream_features.vector import keys_of, vector

TOLERANCE: Final = 1e-6
"""Relative: vectors are float32."""

ByCard = Mapping[str, Sequence[Transaction]]
"""A card's transactions in the order of the log."""


def check_records(name: str, seen: dict[str, Any], cards: ByCard) -> None:
    """Check that cards were read, none more often than it is in the log."""
    records = seen["records"]
    _require(name, sum(records.values()) > 0, "read none of the sampled cards")
    for card, count in records.items():
        _require(name, count <= len(cards[card]), f"read {card} {count} times of {len(cards[card])}")


def check_values(name: str, seen: dict[str, Any], cards: ByCard) -> None:
    """Check that each transaction's count is its ordinal among those of its card."""
    ordinals = {tx.tx_id: n for transactions in cards.values() for n, tx in enumerate(transactions, 1)}
    _require(name, len(seen["values"]) > 0, "read none of the sampled cards")
    for tx_id, values in seen["values"]:
        _require(
            name, values["count"] == ordinals[tx_id], f"counted {values} with {tx_id}, not {ordinals[tx_id]}"
        )


def check_windows(name: str, seen: dict[str, Any], cards: ByCard, window_ms: int) -> None:
    """Check the number of transactions in each window against brute force."""
    check_records(name, seen, cards)
    compared = 0
    for card, windows in seen["windows"].items():
        times_ms = [tx.ts for tx in cards[card][: seen["records"][card]]]
        for start, count in windows.items():
            expected = sum(int(start) <= ts < int(start) + window_ms for ts in times_ms)
            _require(name, count == expected, f"{card}, window at {start}: {count}, not {expected}")
            compared += count
    _require(name, compared > 0, "emitted no window of the sampled cards")


def check_sliding(name: str, seen: dict[str, Any], cards: ByCard) -> None:
    """Check the aggregates of each record's windows against brute force."""
    compared = 0
    for card, emitted in seen["sliding"].items():
        records: dict[int, int] = {}
        for window in emitted:
            length_ms = window["window_ms"]
            record = records[length_ms] = records.get(length_ms, 0) + 1
            now = cards[card][record - 1].ts
            amounts = [tx.amount_cents for tx in cards[card][:record] if now - length_ms <= tx.ts <= now]
            expected = {
                "count": len(amounts),
                "sum": sum(amounts),
                "mean": sum(amounts) / len(amounts),
                "max": max(amounts),
            }
            for aggregate in window.keys() & expected.keys():
                _require(
                    name,
                    math.isclose(window[aggregate], expected[aggregate], rel_tol=1e-9),
                    f"{card}, record {record}, {aggregate} of {length_ms} ms: {window[aggregate]}, "
                    f"not {expected[aggregate]}",
                )
                compared += 1
    _require(name, compared > 0, "emitted no window of the sampled cards")


def check_sorted_sets(name: str, seen: dict[str, Any], cards: ByCard, redis: Redis) -> None:
    """Check that each card's sorted set holds the times and amounts of the transactions that were read."""
    check_records(name, seen, cards)
    for card, count in seen["records"].items():
        members: Any = redis.zrange(f"zset:card_id:{card}", 0, -1, withscores=True)
        stored = sorted((int(score), int(member.split(b":")[1])) for member, score in members)
        expected = sorted((tx.ts, tx.amount_cents) for tx in cards[card][:count])
        _require(
            name, stored == expected, f"{card} has {len(stored)} members, not the {count} that were read"
        )


def check_state(name: str, traffic: Traffic, cards: ByCard, redis: Redis, slots: int, entities: Sequence[str],
                horizon_ms: int) -> None:  # fmt: skip
    """Check the features of a transaction of each card, just after the log's end, read from the state.

    The state must hold every transaction and label of `traffic`.
    """
    end_ms = traffic.transactions[-1].ts + 1
    probes = [
        msgspec.structs.replace(transactions[-1], tx_id=f"probe-{card}", ts=end_ms)
        for card, transactions in cards.items()
    ]
    events: dict[tuple[str, str], list[Transaction]] = {key: [] for tx in probes for key in keys_of(tx)}
    for tx in traffic.transactions:
        for key in keys_of(tx):
            if key in events:
                events[key].append(tx)
    for tx in probes:
        states_read = {}
        for entity, value in keys_of(tx):
            if entity in entities:
                blob: Any = redis.get(blob_key(slot_of(entity, value, slots), entity, value))
                _require(name, blob is not None, f"there is no state of {entity} {value}")
                states_read[entity] = states.from_bytes(entity, blob)
        features, _ = vector(tx, states_read, horizon_ms)
        merchant_labels = [label for label in traffic.labels if label.merchant_id == tx.merchant_id]
        by_entity = {entity: events[entity, key] for entity, key in keys_of(tx)}
        expected = oracle(tx, by_entity, merchant_labels, horizon_ms)
        for feature, served, correct in zip(FEATURES, features.tolist(), expected, strict=True):
            if feature.entity not in ("request", *entities):
                continue
            equal = math.isclose(served, correct, rel_tol=TOLERANCE) or (
                math.isnan(served) and math.isnan(correct)
            )
            _require(name, equal, f"{feature.name} of card {tx.card_id} is {served}, not {correct}")


def _require(name: str, condition: bool, failure: str) -> None:
    if not condition:
        raise InvariantError(f"bench features: {name}: {failure}")
