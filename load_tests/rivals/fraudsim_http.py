"""Our scorer's HTTP side as `scorer.service` wires it, but for the log: that acknowledges at once.

Everything else of a decision is done: its claim and its reply are kept in Redis for repeats, the policy
weighs it, the whole record is made and encoded for the log.
"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn
from redis.asyncio import Redis

from fraudsim import metrics
from fraudsim.clock import Clock, PlacedSegment
from fraudsim.logs import set_up_logs
from fraudsim.long_lived import settle
from load_tests.rivals.common import Given, given, settings_of
from scorer.daily_limits import PlacesInRedis
from scorer.decide import Decider
from scorer.dependency import Dependency
from scorer.http_api import HttpApi
from scorer.http_protocol import BoundedProtocol
from scorer.http_scoring import HttpScoring
from scorer.idempotency import Idempotency
from scorer.policy_file import SHIPPED
from scorer.repeats import Repeats
from scorer.served_model import ServedModel
from scorer.served_policy import ServedPolicy
from scorer.shadows import Shadows
from stream_features.reader import FeatureReader
from stream_features.redis_io import StateStore
from stream_features.redis_link import RedisLink
from stream_features.tail import Tail


class NoLog:
    """A producer whose record is in the log, and read back, as soon as it is sent."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._offset = -1

    async def send_and_wait(self, topic: str, **record: Any) -> Any:
        self._offset += 1
        self._tail.passed(0, self._offset)
        return SimpleNamespace(partition=0, offset=self._offset)


async def serve(given: Given) -> None:
    """Until the process is ended."""
    settings = settings_of(given)
    log = set_up_logs(settings, "bench")
    metrics.serve_metrics(settings)
    tail = Tail(settings.partitions, settings.tail_max_records)
    link = RedisLink.impatient(settings.redis_url)
    reader = FeatureReader(
        StateStore(link), tail, given.segment,
        partitions=settings.partitions, slots=settings.slots, pending_wait_ms=settings.pending_wait_ms,
    )  # fmt: skip
    served = ServedModel(Path(given.model_dir), log)
    policy = ServedPolicy(SHIPPED, log)
    state, claims, limits = map(Dependency, ("state", "claims", "limits"))
    places = PlacesInRedis(Redis.from_url(settings.redis_url), given.segment.log_id)
    decider = Decider(reader, served, policy, places, state=state, limits=limits, patience_s=1.0)
    clock_log: Any = SimpleNamespace(clock=Clock([PlacedSegment(given.segment, 0)]))
    shadows = Shadows(served, policy)
    repeats = Repeats(Idempotency(link), claims)
    scoring = HttpScoring(
        settings, decider, reader.pending, clock_log, NoLog(tail), repeats, log, shadows.offer
    )
    api = HttpApi(settings, scoring, clock_log, served, shadows, state, lambda: True, log)
    server = uvicorn.Server(
        uvicorn.Config(
            api.app, port=given.port, http=BoundedProtocol, ws="none", log_level="warning", access_log=False,
            lifespan="off", proxy_headers=False,
        )
    )  # fmt: skip
    settle()
    await asyncio.gather(server.serve(), api.admission.watch())


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(given()))
