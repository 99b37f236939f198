"""Whether a contestant of `bench features` really did the work: its sampled cards against brute force.

What a rival has `seen` is one of
- `records`: how many transactions it met of each card; a partition is read in order, so they are the first;
- `values`: (tx_id, the card's count with it) for each transaction of the cards;
- `windows`: beside `records`, by card and start of the window (ms) the number of transactions in it;
- `sliding`: by card, for each record and window in turn, the end (ms) and the aggregates.
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


def check_records(name: str, seen: dict[str, Any], cards: ByCard) -> None:
    """That cards were met, none more often than the log has it."""
    records = seen["records"]
    _require(name, sum(records.values()) > 0, "met none of the sampled cards")
    for card, number in records.items():
        _require(name, number <= len(cards[card]), f"met {card} {number} times of {len(cards[card])}")


def check_values(name: str, seen: dict[str, Any], cards: ByCard) -> None:
    """That each transaction's count is its place among those of its card."""
    place = {tx.tx_id: number for its in cards.values() for number, tx in enumerate(its, 1)}
    _require(name, len(seen["values"]) > 0, "met none of the sampled cards")
    for tx_id, values in seen["values"]:
        _require(name, values["count"] == place[tx_id], f"counted {values} with {tx_id}, not {place[tx_id]}")


def check_windows(name: str, seen: dict[str, Any], cards: ByCard, window_ms: int) -> None:
    """That each window holds the number of transactions that brute force finds in it."""
    check_records(name, seen, cards)
    found = 0
    for card, windows in seen["windows"].items():
        its = [tx.ts for tx in cards[card][: seen["records"][card]]]
        for start, number in windows.items():
            expected = sum(int(start) <= ts < int(start) + window_ms for ts in its)
            _require(name, number == expected, f"{card}, window at {start}: {number}, not {expected}")
            found += number
    _require(name, found > 0, "emitted no window of the sampled cards")


def check_sliding(name: str, seen: dict[str, Any], cards: ByCard) -> None:
    """That each record's windows hold the aggregates that brute force finds."""
    found = 0
    for card, emitted in seen["sliding"].items():
        met: dict[int, int] = {}
        for its in emitted:
            at = met[its["window_ms"]] = met.get(its["window_ms"], 0) + 1
            now = cards[card][at - 1].ts
            amounts = [tx.amount_cents for tx in cards[card][:at] if now - its["window_ms"] <= tx.ts <= now]
            expected = {
                "count": len(amounts),
                "sum": sum(amounts),
                "mean": sum(amounts) / len(amounts),
                "max": max(amounts),
            }
            for aggregate in its.keys() & expected.keys():
                _require(
                    name,
                    math.isclose(its[aggregate], expected[aggregate], rel_tol=1e-9),
                    f"{card}, record {at}, {aggregate} of {its['window_ms']} ms: {its[aggregate]}, "
                    f"not {expected[aggregate]}",
                )
                found += 1
    _require(name, found > 0, "emitted no window of the sampled cards")


def check_sorted_sets(name: str, seen: dict[str, Any], cards: ByCard, redis: Redis) -> None:
    """That each card's sorted set holds the times and amounts of the transactions that were met."""
    check_records(name, seen, cards)
    for card, number in seen["records"].items():
        members: Any = redis.zrange(f"zset:card_id:{card}", 0, -1, withscores=True)
        held = sorted((int(score), int(member.split(b":")[1])) for member, score in members)
        expected = sorted((tx.ts, tx.amount_cents) for tx in cards[card][:number])
        _require(name, held == expected, f"{card} has {len(held)} members, not the {number} that were met")


def check_state(name: str, traffic: Traffic, cards: ByCard, redis: Redis, slots: int, entities: Sequence[str],
                horizon_ms: int) -> None:  # fmt: skip
    """That the features of a transaction of each card, after all, read from the state, are brute force's."""
    end_ms = traffic.transactions[-1].ts + 1
    probes = [
        msgspec.structs.replace(its[-1], tx_id=f"probe-{card}", ts=end_ms) for card, its in cards.items()
    ]
    events: dict[tuple[str, str], list[Transaction]] = {key: [] for tx in probes for key in keys_of(tx)}
    for tx in traffic.transactions:
        for key in keys_of(tx):
            if key in events:
                events[key].append(tx)
    for tx in probes:
        found = {}
        for entity, its_key in keys_of(tx):
            if entity in entities:
                blob: Any = redis.get(blob_key(slot_of(entity, its_key, slots), entity, its_key))
                _require(name, blob is not None, f"there is no state of {entity} {its_key}")
                found[entity] = states.from_bytes(entity, blob)
        read, _ = vector(tx, found, horizon_ms)
        of_merchant = [label for label in traffic.labels if label.merchant_id == tx.merchant_id]
        by_entity = {entity: events[entity, key] for entity, key in keys_of(tx)}
        expected = oracle(tx, by_entity, of_merchant, horizon_ms)
        for feature, value, right in zip(FEATURES, read.tolist(), expected, strict=True):
            if feature.entity not in ("request", *entities):
                continue
            same = math.isclose(value, right, rel_tol=TOLERANCE) or (math.isnan(value) and math.isnan(right))
            _require(name, same, f"{feature.name} of card {tx.card_id} is {value}, not {right}")


def _require(name: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvariantError(f"bench features: {name}: {otherwise}")
