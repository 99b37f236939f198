"""One scorer process: the log reader, the stream scorer and the HTTP API on one event loop."""

import asyncio
import contextlib
import itertools
import math
import resource
import signal
import sys
import time
from collections.abc import Generator
from typing import Any, Final

import numpy as np
import uvicorn
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import open_clock
from fraudsim.log.consumer import group_member, topic_reader
from fraudsim.log.events import Transaction
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.process.garbage_collection import freeze_gc, watch_collections
from fraudsim.process.logs import set_up_logs
from fraudsim.settings import Settings
from producers.world.settings import consequences
from scorer.block_log import BlockLog
from scorer.context import ScorerContext
from scorer.decide import Decider, Incoming, now_us
from scorer.http.api import HttpApi
from scorer.http.protocol import MAX_CONNECTIONS, RESERVED_CONNECTIONS, BoundedProtocol
from scorer.http.scoring import HttpScoring
from scorer.idempotency.idempotency import Idempotency
from scorer.idempotency.redis_claims import RedisClaims
from scorer.models.served import ServedModel
from scorer.models.shadows import Shadows
from scorer.policy.file import SHIPPED
from scorer.policy.quota import RedisQuota
from scorer.policy.served import ServedPolicy
from scorer.resilience.budget import STREAM_BUDGETS
from scorer.resilience.dependency import AwayError, Dependencies, Dependency
from scorer.stream.loop import StreamScorer
from stream_features.kernels.state import warm_up_kernel
from stream_features.lagged.lagged_log import LaggedLog
from stream_features.lagged.lagged_reader import open_lagged_reader
from stream_features.online.log_reader import FETCH, LogReader, log_partitions
from stream_features.online.reader import FeatureReader, FeatureSource, NotPrimedError
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.store.connection import RedisClient
from stream_features.store.reported_labels import KEY, decode_reported
from stream_features.store.state_store import StateStore
from stream_features.vector import SIZE

GROUP: Final = "scorers"
GROUP_BESIDE: Final = "scorers.lagged"
PRUNE_EVERY_S: Final = 0.25
CLOCK_EVERY: Final = 4
"""The running clock is looked up once in so many prunings: it may have been stopped."""
WARM_UP_S: Final = 30.0
STATE_WITHIN_S: Final = 2.0
"""Longest wait at the start for a Redis that does not answer."""
OTHER_FILES: Final = 500
"""Open files beside HTTP's connections: Kafka, Redis, metrics, logs, libraries."""
BATCH_BYTES: Final = 1 << 18
"""Producer batch size per partition. A decision has some 1.6 kB, and the client accepts no more records while
a full batch waits to be sent."""
HTTP_DRAIN_S: Final = 2.0
"""Longest that a stop waits until HTTP's decisions are in `decisions`; the next start resumes the rest."""


class _Server(uvicorn.Server):
    """A server that installs no signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Service:
    """The parts of a scorer process, and their start, run and stop."""

    def __init__(self, context: ScorerContext) -> None:
        """Make all parts; needs a running event loop."""
        settings, clock_log, log = context.settings, context.clock_log, context.log
        self._settings, self._clock_log, self._log = settings, clock_log, log
        self._link = RedisClient.with_short_timeouts(settings.redis_url)
        self._state, self._claims, self._limits = map(Dependency, ("state", "claims", "limits"))
        limits_of = clock_log.clock.log_id + (".lagged" if context.is_beside else "")
        self._quota = RedisQuota(Redis.from_url(settings.redis_url), limits_of)
        unfolded_log = UnfoldedLog(settings.partitions, settings.tail_max_records)
        self._store = StateStore(self._link)
        self._reader = FeatureReader(
            self._store,
            unfolded_log,
            clock_log.clock.first,
            partitions=settings.partitions,
            slots=settings.slots,
            pending_wait_ms=settings.pending_wait_ms,
            reads_unfolded=settings.unfolded_log,
        )
        self._served = ServedModel(settings.model_dir, log, settings.model_kind)
        self._policy = ServedPolicy(settings.policy or SHIPPED, log)
        self._shadows = Shadows(self._served, self._policy)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
        )
        features: FeatureSource = self._reader
        self._lagged_log: LaggedLog | None = None
        if settings.features_lag_ms:
            features, self._lagged_log = open_lagged_reader(settings, clock_log)
        self._blocks = BlockLog(settings, clock_log, consequences(settings).block_ms)
        self._decider = Decider(
            features, self._served, self._policy, self._quota,
            Dependencies(self._state, self._limits, STREAM_BUDGETS * settings.deadline_ms / 1000),
            self._blocks,
        )  # fmt: skip
        group = GROUP_BESIDE if context.is_beside else GROUP
        in_flight, on_decided = self._reader.in_flight, self._shadows.offer
        topic = topic_reader(
            settings.kafka_bootstrap, log_partitions(settings), FETCH, f"{settings.scorer_name}-log"
        )
        self._stream = StreamScorer(
            context, self._decider, in_flight, self._producer, on_decided,
            lambda on_record: LogReader(settings, clock_log, unfolded_log, on_record, topic),
            lambda listener: group_member(settings, group, settings.scorer_name, TRANSACTIONS, listener),
        )  # fmt: skip
        self._log_reader = self._stream.log_reader
        idempotency = Idempotency(RedisClaims(self._link, settings.http_replies_max_bytes), self._claims)
        self._scoring = HttpScoring(
            context, self._decider, in_flight, self._producer, idempotency, on_decided
        )
        self._api = HttpApi(
            context, self._scoring, self._served, self._shadows, self._state, lambda: self._log_reader.filled
        )
        self._server = None if context.is_beside else _http_server(settings, self._api)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until a signal or a failure."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        watermarks = await self._primed()
        await self._producer.start()
        self._served.refresh()
        await self._served.await_loaded()
        if self._lagged_log is not None:
            await self._lagged_log.start()
        await self._log_reader.start(watermarks)
        block_reading = asyncio.create_task(self._blocks.run(), name="blocks")
        await self._await_blocks(block_reading)
        await self._stream.start()
        await self._warm_up()
        freeze_gc()
        watch_collections(self._on_collection)
        tasks: list[asyncio.Task[None]] = [block_reading]
        tasks += [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("log reader", self._log_reader.run()),
                ("membership", self._stream.keep_membership()),
                ("decisions", self._stream.run()),
                ("upkeep", self._upkeep()),
                ("admission", self._api.admission.watch()),
                ("shadows", self._shadows.run()),
                *([("lagged log", self._lagged_log.run())] if self._lagged_log is not None else []),
                ("http", self._server.serve() if self._server is not None else asyncio.sleep(math.inf)),
            )
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        all_tasks: list[asyncio.Task[Any]] = [*tasks, stopping]
        done, _ = await asyncio.wait(all_tasks, return_when=asyncio.FIRST_COMPLETED)
        await self._stop(tasks, [task for task in done if task is not stopping])

    async def _stop(self, tasks: list[asyncio.Task[None]], ended: list[asyncio.Task[Any]]) -> None:
        """Stop HTTP, then the stream once it has what HTTP decided. Raises what a task raised."""
        if self._server is not None:
            self._server.should_exit = True
            await asyncio.wait([tasks[-1]], timeout=15)
        await self._scoring.drain()
        if not ended:
            await self._stream.await_http_decisions(HTTP_DRAIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stream.stop()
        await self._log_reader.stop()
        if self._lagged_log is not None:
            await self._lagged_log.stop()
        await self._blocks.stop()
        await self._producer.stop()
        await self._quota.close()
        await self._link.close()
        for task in ended:
            if not task.cancelled() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]
            raise RuntimeError(f"{task.get_name()} ended by itself")

    def _on_collection(self, pause_ms: float, generation: int) -> None:
        self._log.info("collector_paused", ms=round(pause_ms, 3), generation=generation)

    async def _await_blocks(self, reading: asyncio.Task[None]) -> None:
        """Wait until the labels that block cards have been read, and the history's where Redis answers."""
        await self._read_reported()
        filling = asyncio.create_task(self._blocks.await_filled())
        await asyncio.wait([filling, reading], return_when=asyncio.FIRST_COMPLETED)
        filling.cancel()

    async def _read_reported(self) -> None:
        """Take what was reported before the log began, if it has not been taken and Redis answers."""
        if not self._blocks.history_read and self._state.away is None:
            with contextlib.suppress(RedisError, OSError):
                (value,) = await self._store.read([KEY])
                self._blocks.add_history(decode_reported(value))

    async def _warm_up(self) -> None:
        """Make decisions that are not published, so that the first request waits for no lazy set-up."""
        for topic in (self._stream.topic, TRANSACTIONS):
            await self._producer.partitions_for(topic)
        sample = Transaction(
            tx_id="warm-up",
            ts=self._clock_log.clock.first.event_epoch_ms,
            card_id="warm-up",
            merchant_id="warm-up",
            amount_cents=0,
        )
        for size in (1, 2, 16):
            await self._decider.decide(
                [Incoming(sample, now_us())] * size, until_s=time.monotonic() + WARM_UP_S
            )
        warm_up_kernel()
        self._served.model.serving.reasons(np.zeros(SIZE, np.float32))
        self._served.model.fallback.predict(np.zeros((1, SIZE), np.float32))

    async def _primed(self) -> list[int] | None:
        """The watermarks, once the state is primed; None where Redis does not answer."""
        deadline_s = time.monotonic() + STATE_WITHIN_S
        while True:
            try:
                return await self._reader.watermarks()
            except NotPrimedError as error:
                self._log.info("waiting_for_state", reason=str(error), next_step="fraudsim features prime")
            except (RedisError, OSError) as error:
                if time.monotonic() >= deadline_s:
                    self._log.warning("starting_without_state", reason=str(error))
                    return None
            await asyncio.sleep(0.5)

    async def _upkeep(self) -> None:
        """Prune the unfolded log, probe Redis, refresh the clock, the policy and the models, for ever."""
        for turn in itertools.count():
            await asyncio.sleep(PRUNE_EVERY_S)
            away = self._state.away
            for dependency, work in (
                (self._state, self._reader.prune_unfolded),
                (self._claims, self._scoring.idempotency.ping),
                (self._limits, self._quota.ping),
            ):
                with contextlib.suppress(AwayError):
                    await dependency.probe(work)
            if self._state.away != away:
                self._log.warning("state_away", reason=self._state.away or "it is back")
            if self._clock_log.clock.current.speed == 0 or turn % CLOCK_EVERY == 0:
                # Of a clock that starts or stops, HTTP must hear where no record names the new segment.
                await self._clock_log.catch_up()
            await self._read_reported()
            self._blocks.prune()
            self._policy.refresh()
            self._served.refresh()


def _http_server(settings: Settings, api: HttpApi) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            api.app,
            host=settings.http_host,
            port=settings.http_port,
            http=BoundedProtocol,
            ws="none",
            log_level="warning",
            access_log=False,
            proxy_headers=False,  # the client's address is not used
            timeout_graceful_shutdown=10,
            lifespan="off",
        )
    )


def run_scorer(settings: Settings, is_beside: bool = False) -> None:
    """Run until a signal; exits non-zero on a failure.

    Args:
        is_beside: see `ScorerContext`.
    """
    import uvloop

    log = set_up_logs(settings, settings.scorer_name)
    clock_log = open_clock(settings)
    _allow_open_files(log)
    port = metrics.serve_metrics(settings)
    loopback = settings.http_host in ("127.0.0.1", "::1", "localhost")
    if not loopback and not settings.http_token.get_secret_value():
        log.warning("http_without_token", host=settings.http_host, next_step="set FRAUDSIM_HTTP_TOKEN")
    log.info("scorer_starting", http=f"{settings.http_host}:{settings.http_port}", metrics_port=port)
    try:
        uvloop.run(_serve(ScorerContext(settings, clock_log, log, is_beside)))
    except FraudsimError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _allow_open_files(log: Any) -> None:
    """Raise the process's own limit, so that HTTP's connections leave files for everything else."""
    needed = MAX_CONNECTIONS + RESERVED_CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    else:
        log.warning("few_open_files", limit=hard, needed=needed, next_step="raise the limit: ulimit -Hn")


async def _serve(context: ScorerContext) -> None:
    await Service(context).run()
