"""The oracle: the catalogue's definitions by brute force over lists of events. Slow, short, no kernel code.

Features are null where no state could answer: at a time beyond the horizon behind a key's newest event, and
for a window that reaches back to what a key over its bound had to drop.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain

from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import (
    DISTINCT_CAP,
    EARTH_KM,
    EXACT,
    FEATURES,
    KEY_FIELD,
    LABEL_MEMORY,
    LABELLED,
    MAX_LABELS,
    MAX_ROWS,
    PLACE_STEPS,
    RISK_PRIOR,
    RISK_WEIGHT,
    Feature,
)
from stream_features.encode import ROW_OF, SOURCE_RANK
from stream_features.vector import request_features


def _floor(value: int, step: int) -> int:
    return value - value % step


def _kilometres(a: Transaction, b: Transaction) -> float:
    def steps(degrees: float | None, start: int) -> int:
        return round(((degrees or 0.0) - start) * PLACE_STEPS) + start * PLACE_STEPS

    def radians(number: int) -> float:
        return math.radians(number / PLACE_STEPS)

    lat_a, lon_a, lat_b, lon_b = steps(a.lat, -90), steps(a.lon, -180), steps(b.lat, -90), steps(b.lon, -180)
    h = math.sin(radians(lat_b - lat_a) / 2) ** 2
    h += math.cos(radians(lat_a)) * math.cos(radians(lat_b)) * math.sin(radians(lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, h)))


def _fraud_count(labels: Sequence[Label], low: int, high: int) -> int:
    by_tx: dict[str, list[Label]] = {}
    for label in labels:
        if high - LABEL_MEMORY <= label.known_at < high:
            by_tx.setdefault(label.tx_id, []).append(label)
    frauds = 0
    for tx_labels in by_tx.values():
        tx_labels.sort(key=lambda item: (item.known_at, SOURCE_RANK[item.source], item.is_fraud))
        first = next((item.known_at for item in tx_labels if item.is_fraud), None)
        frauds += tx_labels[-1].is_fraud and first is not None and first >= low
    return frauds


def value_of(
    feature: Feature, tx: Transaction, events: Sequence[Transaction], labels: Sequence[Label]
) -> float:
    """One window feature of `tx`, from all transactions and labels of the entity's key; NaN if unknown."""
    low, high = _floor(tx.ts - feature.window_ms, feature.tail_ms), _floor(tx.ts, feature.head_ms)
    earlier_events = [e for e in events if low <= e.ts < high]
    amounts = [e.amount_cents for e in earlier_events]
    n, amount = len(earlier_events), tx.amount_cents

    def counterpart(event: Transaction) -> str | None:
        return getattr(event, KEY_FIELD[feature.counterpart])

    match feature.aggregate:
        case "count":
            return n + 1
        case "sum":
            return sum(amounts) + amount
        case "mean":
            return (sum(amounts) + amount) / (n + 1)
        case "std":
            amounts = [*amounts, amount]
            return math.sqrt((n + 1) * sum(a * a for a in amounts) - sum(amounts) ** 2) / (n + 1)
        case "max":
            return max([*amounts, amount])
        case "distinct":
            return min(DISTINCT_CAP, len({counterpart(e) for e in [*earlier_events, tx]} - {None}))
        case "same":
            own = counterpart(tx)
            return math.nan if own is None else sum(counterpart(e) == own for e in earlier_events)
        case "since_last":
            return (tx.ts - max(e.ts for e in earlier_events)) / 1000 if earlier_events else math.nan
        case "speed":
            located = [e for e in earlier_events if e.lat is not None and e.lon is not None]
            if not located or tx.lat is None or tx.lon is None:
                return math.nan
            newest = max(e.ts for e in located)
            # Of several events at one instant, the last in the state's order counts.
            previous = max((e for e in located if e.ts == newest), key=ROW_OF[feature.entity])
            return _kilometres(previous, tx) / ((tx.ts - newest) / 3_600_000)
        case "ratio_to_mean":
            return amount * n / sum(amounts) if sum(amounts) > 0 else math.nan
        case "fraud_rate":
            return (_fraud_count(labels, low, high) + RISK_WEIGHT * RISK_PRIOR) / (n + RISK_WEIGHT)
    raise ValueError(f"aggregate {feature.aggregate!r} is not in the catalogue")


def oracle(
    tx: Transaction,
    events: Mapping[str, Sequence[Transaction]],
    labels: Sequence[Label],
    horizon_ms: int,
    row_bound: int = MAX_ROWS,
    label_bound: int = MAX_LABELS,
) -> list[float]:
    """The whole vector in catalogue order, float64.

    `events` are, by entity, all transactions known to the state of the card, device, … of `tx`; `labels` are
    those of its merchant. `tx` itself may be among them or not.
    """
    request = iter(request_features(tx))
    return [
        next(request)
        if feature.entity == "request"
        else _windowed(feature, tx, events, labels, horizon_ms, row_bound, label_bound)
        for feature in FEATURES
    ]


def _windowed(
    feature: Feature,
    tx: Transaction,
    events: Mapping[str, Sequence[Transaction]],
    labels: Sequence[Label],
    horizon_ms: int,
    row_bound: int,
    label_bound: int,
) -> float:
    if getattr(tx, KEY_FIELD[feature.entity]) is None:
        return math.nan
    key_events = events.get(feature.entity, ())
    key_labels = labels if feature.entity in LABELLED else ()
    unknown = _beyond_horizon(tx, key_events, key_labels, horizon_ms)
    if feature.entity in EXACT:
        unknown |= _rows_dropped(feature, tx, key_events, row_bound)
    if feature.aggregate == "fraud_rate":
        unknown |= _labels_dropped(feature, tx, labels, label_bound)
    return math.nan if unknown else value_of(feature, tx, key_events, key_labels)


def _beyond_horizon(
    tx: Transaction, events: Sequence[Transaction], labels: Sequence[Label], horizon_ms: int
) -> bool:
    """Whether `tx` lies further behind the key's newest event than its state can answer."""
    newest = max(chain((e.ts for e in events), (item.known_at for item in labels)), default=tx.ts)
    return tx.ts < newest - horizon_ms


def _rows_dropped(feature: Feature, tx: Transaction, events: Sequence[Transaction], bound: int) -> bool:
    """Whether a window reaches back to the transactions that a key over its bound dropped."""
    if len(events) <= bound:
        return False
    return tx.ts - feature.window_ms <= sorted(e.ts for e in events)[-bound - 1]


def _labels_dropped(feature: Feature, tx: Transaction, labels: Sequence[Label], bound: int) -> bool:
    """Whether the memory of labels reaches back to those that a merchant over its bound dropped."""
    distinct = {(item.tx_id, item.known_at, item.source, item.is_fraud) for item in labels}
    if len(distinct) <= bound:
        return False
    dropped = sorted(known_at for _, known_at, _, _ in distinct)[-bound - 1]
    return _floor(tx.ts, feature.head_ms) - LABEL_MEMORY <= dropped
