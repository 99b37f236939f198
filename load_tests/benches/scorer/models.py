"""What models beside the champion cost: loading one while others decide, keeping it, splitting, shadowing.

python tests/scorer/model_bench.py MODEL [turns]
"""

import asyncio
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import psutil
from test_decide import Store, decider_of, transaction

from fraudsim.garbage_collection import freeze_gc
from model.artefact.files import load_model
from model.registry.aliases import bucket_of
from scorer.decide import Incoming
from scorer.models.roles import ChallengerShare, Roles
from scorer.models.served import ServedModel
from scorer.models.shadows import MAX_WAITING, SLICE, Shadows
from scorer.policy.file import SHIPPED, load_policy

AT_REST_S = 2.0


async def waits(work):
    """How late a task of the loop was woken, each ms while `work` went on; seconds, sorted."""
    late = []

    async def tick():
        while True:
            asked = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - asked)

    ticking = asyncio.create_task(tick())
    await work
    ticking.cancel()
    return sorted(late)


async def load(served, turns):
    for _ in range(turns):
        await asyncio.to_thread(served._load_yielding, "it")


def said(name, late):
    p50, p99, most = late[len(late) // 2], late[int(0.99 * len(late))], late[-1]
    print(f"{name}: woken late by p50 {1e3 * p50:.1f}, p99 {1e3 * p99:.1f}, at most {1e3 * most:.1f} ms")


def main(folder, turns):
    log = SimpleNamespace(warning=print)
    served = ServedModel(folder, log)
    freeze_gc()
    kept, before = [], psutil.Process().memory_info().rss
    started = time.perf_counter()
    for _ in range(turns):
        kept.append(load_model(folder))
    took, memory = time.perf_counter() - started, psutil.Process().memory_info().rss - before
    print(f"loading and checking: {took / turns:.2f} s, {memory / turns / 2**20:.0f} MB each")
    said("at rest", asyncio.run(waits(asyncio.sleep(AT_REST_S))))
    said("while one is loaded in a thread", asyncio.run(waits(load(served, turns))))

    cards = [f"c{n:06}" for n in range(10_000)]
    started = time.perf_counter()
    for card in cards:
        bucket_of(card, "salt")
    print(f"whose card it is: {(time.perf_counter() - started) / len(cards) * 1e6:.1f} µs")

    champion, other = kept[0], kept[1]
    other.manifest = msgspec.structs.replace(other.manifest, version="other")
    policy = SimpleNamespace(policy=load_policy(SHIPPED), rule_failed=None)
    batch = [
        Incoming(msgspec.structs.replace(transaction(9, 100 + n), card_id=f"c{n % 99}"), 1, 0, n)
        for n in range(SLICE)
    ]
    for name, roles in (
        ("alone", Roles(champion)),
        ("with a challenger", Roles(champion, (ChallengerShare(other, 0, 5_000),))),
    ):
        decider = decider_of(roles, Store())

        async def decide(decider=decider):
            for _ in range(200):
                await decider.decide(batch)

        asyncio.run(decide())
        started = time.perf_counter()
        asyncio.run(decide())
        each = (time.perf_counter() - started) / 200 / SLICE
        print(f"deciding {SLICE} at once, {name}: {each * 1e6:.1f} µs each")
    decided = asyncio.run(decider_of(Roles(champion), Store()).decide(batch))
    looking = Shadows(SimpleNamespace(roles=Roles(champion, shadows=(other,))), policy)
    slices = []
    for _ in range(3):
        for n in range(MAX_WAITING):
            looking.offer(batch[n % SLICE].tx, decided[n % SLICE])
        while looking._waiting:
            started = time.perf_counter()
            looking.compare_next()
            slices.append(time.perf_counter() - started)
    p50, p99 = 1e3 * np.percentile(slices, (50, 99))
    print(f"one shadow: {1e3 * p50 / SLICE:.0f} µs a decision, a slice p50 {p50:.2f}, p99 {p99:.2f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
