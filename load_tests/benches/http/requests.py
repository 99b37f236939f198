"""What the servers of `fraudsim bench http` are asked: a small made world, its model, its state in Redis."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.log.events import Transaction, encoder
from fraudsim.settings import Settings
from load_tests.benches.other.trees import CARDS, DAYS, FRAUD_SCALE, SEED
from load_tests.rig.primed_world import PrimedWorld, prime_world
from model.forest.forest import Matrix
from producers.world.config import WorldConfig
from producers.world.world import World

ASKED: Final = 2_000
"""Distinct transactions; they are asked for in turn, each time under another tx_id."""
TX_ID: Final = "bench-%012d"
_PLACE: Final = (TX_ID % 0).encode()
HORIZON_MS: Final = 120_000


@dataclass(frozen=True)
class MadeWorld(PrimedWorld):
    """With what is asked next."""

    asked: list[Transaction]


def make_world(folder: Path, redis_url: str) -> MadeWorld:
    """Make it, and put the state of its history into Redis."""
    settings = Settings(_env_file=None, redis_url=redis_url, label_gap_days=7, seed=SEED)
    world = World(WorldConfig(cards=CARDS, seed=SEED, fraud_scale=FRAUD_SCALE))
    made = prime_world(folder, world, DAYS, settings, HORIZON_MS)
    last = made.transactions.slice(max(0, made.transactions.num_rows - ASKED)).to_pylist()
    asked = [_next(row, made.segment.event_epoch_ms) for row in last]
    return MadeWorld(**vars(made), asked=asked)


def _next(row: dict[str, Any], end_ms: int) -> Transaction:
    """A transaction like that of a row, after the history's end."""
    known = {name: value for name, value in row.items() if value is not None}
    return Transaction(**{**known, "tx_id": _PLACE.decode(), "ts": end_ms + known["ts"] % 1000})


MakeBody = Callable[[Transaction], bytes]


def as_transaction(tx: Transaction) -> bytes:
    """The event itself."""
    return encoder.encode(tx)


def as_named(tx: Transaction) -> bytes:
    """As BentoML has it: each argument by its name."""
    return encoder.encode({"transaction": tx})


def as_tensor(tx: Transaction) -> bytes:
    """As the Open Inference Protocol has a text."""
    text = encoder.encode(tx).decode()
    return encoder.encode(
        {"inputs": [{"name": "transaction", "datatype": "BYTES", "shape": [1], "data": [text]}]}
    )


def as_features(row: Matrix) -> bytes:
    """A feature vector, shape (SIZE,)."""
    return encoder.encode({"features": row.tolist()})


def as_feature_tensor(row: Matrix) -> bytes:
    """As the Open Inference Protocol has a matrix."""
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, row.size], "data": row.tolist()}
    return encoder.encode({"inputs": [tensor]})


def requests_of(path: str, bodies: list[bytes]) -> Callable[[int], bytes]:
    """Whole HTTP requests by number; where a body has a tx_id, each number's is its own."""
    parts = []
    for body in bodies:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        before, place, after = body.partition(_PLACE)
        parts.append((head + before, after if place else None))

    def request(number: int) -> bytes:
        before, after = parts[number % len(parts)]
        return before if after is None else before + (TX_ID % number).encode() + after

    return request


def score_in(reply: bytes) -> float:
    """The score that a reply of any of the servers holds."""
    found: Any = msgspec.json.decode(reply)
    if "outputs" in found:  # Open Inference Protocol
        return float(found["outputs"][0]["data"][0])
    return float(found["score"])
