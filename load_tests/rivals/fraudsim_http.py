"""Our scorer's HTTP side as `scorer.service` wires it, with a log that acknowledges at once.

The rest of a decision is done: its claim and its reply are kept in Redis for repeats, the policy is
evaluated, the record is encoded for the log.
"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn
from redis.asyncio import Redis

from fraudsim import metrics
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.process.logs import set_up_logs
from load_tests.rivals.scoring_setup import RivalSetup, read_setup, settings_of
from scorer.context import ScorerContext
from scorer.decide import Decider
from scorer.http.api import HttpApi
from scorer.http.protocol import BoundedProtocol
from scorer.http.scoring import HttpScoring
from scorer.idempotency.idempotency import Idempotency
from scorer.idempotency.redis_claims import RedisClaims
from scorer.models.served import ServedModel
from scorer.models.shadows import Shadows
from scorer.policy.file import SHIPPED
from scorer.policy.quota import RedisQuota
from scorer.policy.served import ServedPolicy
from scorer.resilience.dependency import Dependencies, Dependency
from stream_features.online.reader import FeatureReader
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.store.connection import RedisClient
from stream_features.store.state_store import StateStore


class InstantLog:
    """A producer whose records count as written and read back as soon as they are sent."""

    def __init__(self, unfolded_log: UnfoldedLog) -> None:
        self._unfolded_log = unfolded_log
        self._offset = -1

    async def send_and_wait(self, topic: str, **record: Any) -> Any:
        self._offset += 1
        self._unfolded_log.advance(0, self._offset)
        return SimpleNamespace(partition=0, offset=self._offset)


async def serve(setup: RivalSetup) -> None:
    """Serve until the process is stopped."""
    settings = settings_of(setup)
    log = set_up_logs(settings, "bench")
    metrics.serve_metrics(settings)
    unfolded_log = UnfoldedLog(settings.partitions, settings.tail_max_records)
    link = RedisClient.with_short_timeouts(settings.redis_url)
    reader = FeatureReader(
        StateStore(link), unfolded_log, setup.segment,
        partitions=settings.partitions, slots=settings.slots, pending_wait_ms=settings.pending_wait_ms,
    )  # fmt: skip
    served = ServedModel(Path(setup.model_dir), log)
    policy = ServedPolicy(SHIPPED, log)
    state, claims, limits = map(Dependency, ("state", "claims", "limits"))
    quota = RedisQuota(Redis.from_url(settings.redis_url), setup.segment.log_id)
    decider = Decider(reader, served, policy, quota, Dependencies(state, limits, 1.0))
    clock_log: Any = SimpleNamespace(clock=Clock([LoggedSegment(setup.segment, 0)]))
    shadows = Shadows(served, policy)
    idempotency = Idempotency(RedisClaims(link, settings.http_replies_max_bytes), claims)
    context = ScorerContext(settings, clock_log, log)
    scoring = HttpScoring(
        context, decider, reader.in_flight, InstantLog(unfolded_log), idempotency, shadows.offer
    )
    api = HttpApi(context, scoring, served, shadows, state, lambda: True)
    server = uvicorn.Server(
        uvicorn.Config(
            api.app, port=setup.port, http=BoundedProtocol, ws="none", log_level="warning", access_log=False,
            lifespan="off", proxy_headers=False,
        )
    )  # fmt: skip
    freeze_gc()
    await asyncio.gather(server.serve(), api.admission.watch())


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(read_setup()))
