"""The world and the requests of `fraudsim bench http`: a small world, its model, its state in Redis."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.log.events import Transaction, encoder
from fraudsim.settings import Settings
from load_tests.rig.primed_world import (
    LABEL_GAP_DAYS,
    SMALL_WORLD,
    SMALL_WORLD_DAYS,
    PrimedWorld,
    prime_world,
)
from model.forest.forest import Matrix
from producers.world.world import World

PROBES: Final = 2_000
"""Distinct transactions; they are sent in turn, each time with another tx_id."""
TX_ID: Final = "bench-%012d"
_TX_ID_0: Final = (TX_ID % 0).encode()
"""The bytes of a body that each request replaces by its own tx_id."""
HORIZON_MS: Final = 120_000


@dataclass(frozen=True)
class BenchWorld(PrimedWorld):
    """A primed world and the transactions that requests carry."""

    probes: list[Transaction]


def make_world(folder: Path, redis_url: str) -> BenchWorld:
    """Generate the world, train its model, and put the state of its history into Redis."""
    settings = Settings(
        _env_file=None, redis_url=redis_url, label_gap_days=LABEL_GAP_DAYS, seed=SMALL_WORLD.seed
    )
    primed = prime_world(folder, World(SMALL_WORLD), SMALL_WORLD_DAYS, settings, HORIZON_MS)
    last_rows = primed.transactions.slice(max(0, primed.transactions.num_rows - PROBES)).to_pylist()
    probes = [_probe(row, primed.segment.event_epoch_ms) for row in last_rows]
    return BenchWorld(**vars(primed), probes=probes)


def _probe(row: dict[str, Any], end_ms: int) -> Transaction:
    """The transaction of a row, moved to after the history's end."""
    fields = {name: value for name, value in row.items() if value is not None}
    return Transaction(**{**fields, "tx_id": _TX_ID_0.decode(), "ts": end_ms + fields["ts"] % 1000})


MakeBody = Callable[[Transaction], bytes]


def as_transaction(tx: Transaction) -> bytes:
    """The event itself."""
    return encoder.encode(tx)


def as_named(tx: Transaction) -> bytes:
    """As BentoML expects it: each argument by its name."""
    return encoder.encode({"transaction": tx})


def as_tensor(tx: Transaction) -> bytes:
    """As a text of the Open Inference Protocol."""
    text = encoder.encode(tx).decode()
    return encoder.encode(
        {"inputs": [{"name": "transaction", "datatype": "BYTES", "shape": [1], "data": [text]}]}
    )


def as_features(row: Matrix) -> bytes:
    """A feature vector, shape (SIZE,)."""
    return encoder.encode({"features": row.tolist()})


def as_feature_tensor(row: Matrix) -> bytes:
    """As a matrix of the Open Inference Protocol; shape (SIZE,)."""
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, row.size], "data": row.tolist()}
    return encoder.encode({"inputs": [tensor]})


def requests_of(path: str, bodies: list[bytes]) -> Callable[[int], bytes]:
    """A function from a request's number to the whole HTTP request, head and body.

    Bodies are used in turn; where a body has a tx_id, each number gets a tx_id of its own.
    """
    parts = []
    for body in bodies:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        before, tx_id, after = body.partition(_TX_ID_0)
        parts.append((head + before, after if tx_id else None))

    def request(number: int) -> bytes:
        before, after = parts[number % len(parts)]
        return before if after is None else before + (TX_ID % number).encode() + after

    return request


def score_in(reply: bytes) -> float:
    """The score in a reply of any of the servers."""
    decoded: Any = msgspec.json.decode(reply)
    if "outputs" in decoded:  # Open Inference Protocol
        return float(decoded["outputs"][0]["data"][0])
    return float(decoded["score"])
