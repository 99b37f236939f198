"""The cost of models beside the champion: loading one while others decide, memory, splitting, shadowing.

python -m load_tests.benches.scorer.models MODEL [turns]
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import numpy as np
import psutil

from fraudsim.log.events import Transaction
from fraudsim.process.garbage_collection import freeze_gc
from model.artefact.files import load_model
from model.artefact.model import Model
from model.registry.aliases import bucket_of
from scorer.decide import Decider, Incoming
from scorer.models.roles import ChallengerShare, Roles
from scorer.models.served import ServedModel
from scorer.models.shadows import MAX_WAITING, SLICE, Shadows
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.quota import LocalQuota
from scorer.resilience.dependency import Dependencies, Dependency
from stream_features.catalogue.features import HASH, MINUTE
from stream_features.online.reader import FeatureReader
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.store.keys import watermark_key
from stream_features.store.watermark import Watermark, encode_watermark
from testing.samples.log import T0, make_segment

AT_REST_S: Final = 2.0
PATIENCE_S: Final = 0.2
CALLS: Final = 200
SHADOW_ROUNDS: Final = 3


class EmptyStore:
    """A state store of one slot in which nothing is folded."""

    def __init__(self) -> None:
        watermark = Watermark(
            log_id="log", generation="g", catalogue=HASH, history="", slots=1, offsets=(-1, -1)
        )
        self._values = {watermark_key(0): encode_watermark(watermark)}

    async def read(self, keys: Sequence[str], linger_s: float = 0.0) -> list[bytes | None]:
        await asyncio.sleep(0)
        return [self._values.get(key) for key in keys]


def transaction(number: int, amount_cents: int = 50_000, card_id: str = "c") -> Transaction:
    """A transaction `number` minutes after `T0`."""
    return Transaction(
        tx_id=f"t{number}", ts=T0 + number * MINUTE, card_id=card_id, merchant_id="m",
        amount_cents=amount_cents, channel="pos",
    )  # fmt: skip


def decider_of(roles: Roles, policy: Any) -> Decider:
    """A decider over an empty store and five unfolded transactions."""
    unfolded_log = UnfoldedLog(1, 1_000)
    for offset in range(5):
        unfolded_log.add(0, offset, transaction(offset))
        unfolded_log.advance(0, offset)
    store: Any = EmptyStore()
    models: Any = SimpleNamespace(roles=roles)
    reader = FeatureReader(store, unfolded_log, make_segment(), partitions=1, slots=1, pending_wait_ms=20)
    return Decider(
        reader, models, policy, LocalQuota(),
        Dependencies(Dependency("test"), Dependency("test"), PATIENCE_S),
    )  # fmt: skip


async def wake_up_delays(work: Awaitable[object]) -> list[float]:
    """How late a 1 ms timer of the event loop fires while `work` goes on; seconds, sorted."""
    delays_s: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            delays_s.append(time.perf_counter() - due)

    ticking = asyncio.create_task(tick())
    await work
    ticking.cancel()
    return sorted(delays_s)


async def load_repeatedly(served: ServedModel, turns: int) -> None:
    for _ in range(turns):
        await asyncio.to_thread(served._load_yielding, "it")


def print_delays(name: str, delays_s: Sequence[float]) -> None:
    p50, p99, largest = delays_s[len(delays_s) // 2], delays_s[int(0.99 * len(delays_s))], delays_s[-1]
    print(f"{name}: woken late by p50 {1e3 * p50:.1f}, p99 {1e3 * p99:.1f}, at most {1e3 * largest:.1f} ms")


def measure_loading(folder: Path, turns: int) -> list[Model]:
    """Time and memory of loading a model, and the event loop meanwhile. Returns the loaded models."""
    log = SimpleNamespace(warning=print)
    served = ServedModel(folder, log)
    freeze_gc()
    models, before = [], psutil.Process().memory_info().rss
    started = time.perf_counter()
    for _ in range(turns):
        models.append(load_model(folder))
    took_s, memory = time.perf_counter() - started, psutil.Process().memory_info().rss - before
    print(f"loading and checking: {took_s / turns:.2f} s, {memory / turns / 2**20:.0f} MB each")
    print_delays("at rest", asyncio.run(wake_up_delays(asyncio.sleep(AT_REST_S))))
    delays_s = asyncio.run(wake_up_delays(load_repeatedly(served, turns)))
    print_delays("while one is loaded in a thread", delays_s)
    return models


def measure_split() -> None:
    """Time of assigning a card to champion or challenger."""
    cards = [f"c{n:06}" for n in range(10_000)]
    started = time.perf_counter()
    for card in cards:
        bucket_of(card, "salt")
    print(f"assignment of a card: {(time.perf_counter() - started) / len(cards) * 1e6:.1f} µs")


async def decide_repeatedly(decider: Decider, batch: Sequence[Incoming]) -> None:
    for _ in range(CALLS):
        await decider.decide(batch)


def measure_deciding(lineups: dict[str, Roles], policy: Any, batch: Sequence[Incoming]) -> None:
    """Time of a decision by each line-up."""
    for name, roles in lineups.items():
        decider = decider_of(roles, policy)
        asyncio.run(decide_repeatedly(decider, batch))
        started = time.perf_counter()
        asyncio.run(decide_repeatedly(decider, batch))
        decision_s = (time.perf_counter() - started) / CALLS / len(batch)
        print(f"deciding {len(batch)} at once, {name}: {decision_s * 1e6:.1f} µs each")


def measure_shadow(champion: Model, shadow: Model, policy: Any, batch: Sequence[Incoming]) -> None:
    """Time of comparing decisions with one shadow."""
    decisions = asyncio.run(decider_of(Roles(champion), policy).decide(batch))
    models: Any = SimpleNamespace(roles=Roles(champion, shadows=(shadow,)))
    shadows = Shadows(models, policy)
    slices_s = []
    for _ in range(SHADOW_ROUNDS):
        for n in range(MAX_WAITING):
            shadows.offer(batch[n % SLICE].tx, decisions[n % SLICE])
        while shadows._waiting:
            started = time.perf_counter()
            shadows.compare_next()
            slices_s.append(time.perf_counter() - started)
    p50, p99 = 1e3 * np.percentile(slices_s, (50, 99))
    print(f"one shadow: {1e3 * p50 / SLICE:.0f} µs a decision, a slice p50 {p50:.2f}, p99 {p99:.2f} ms")


def main(folder: Path, turns: int) -> None:
    """Print every figure of the model in `folder`; at least two turns."""
    champion, challenger, *_ = measure_loading(folder, turns)
    measure_split()
    renamed = msgspec.structs.replace(challenger.manifest, version="other")
    challenger = Model(challenger.ubj, challenger.fallback.ubj, renamed)
    policy = SimpleNamespace(policy=load_policy(SHIPPED), rule_failed=None)
    batch = [Incoming(transaction(9, 100 + n, f"c{n % 99}"), 1, 0, n) for n in range(SLICE)]
    lineups = {
        "alone": Roles(champion),
        "with a challenger": Roles(champion, (ChallengerShare(challenger, 0, 5_000),)),
    }
    measure_deciding(lineups, policy, batch)
    measure_shadow(champion, challenger, policy, batch)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
