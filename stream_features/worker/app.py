"""The feature worker's Faust app: an agent that feeds whole polls to the fold loop, and the loop's task."""

import asyncio
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
from yarl import URL

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import open_clock
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.process.logs import set_up_logs
from fraudsim.settings import Settings
from stream_features.kernels.state import warm_up_kernel
from stream_features.store.connection import RedisClient
from stream_features.store.redis_access import await_redis
from stream_features.store.state_store import StateStore
from stream_features.worker.fold_loop import fold_log
from stream_features.worker.inbox import Inbox
from stream_features.worker.transport import WholePollSchema, WholePollTransport


def build_app(
    settings: Settings, inbox: Inbox, fold: Callable[[Any], Awaitable[None]], log: Any, datadir: Path
) -> faust.App:
    """The Faust app that fills an inbox. Its id is unique to the process: every worker reads the whole log.

    Args:
        fold: empties the inbox for ever; called with the app's consumer.
        datadir: a folder that Faust asks for and leaves empty.
    """
    app = faust.App(
        f"fraudsim.{settings.worker_name}.{uuid.uuid4().hex[:8]}",
        broker=[URL(f"kafka://{host}") for host in settings.kafka_bootstrap.split(",")],
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=8,
        broker_max_poll_records=2_000,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_commit_interval=60.0,
        value_serializer="raw",
        datadir=datadir,
    )
    app.transport = WholePollTransport(app.conf.broker_consumer, app, inbox)
    topic = app.topic(TRANSACTIONS, LABELS, schema=WholePollSchema(), acks=False)

    @app.agent(topic)
    async def gather(polls: Any) -> None:
        async for delivery in polls:
            await inbox.deliver(delivery)

    @app.task
    async def fold_for_ever() -> None:
        try:
            await fold(app.consumer)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # Faust would catch the exception, skip records and go on.
            if isinstance(error, FraudsimError):
                print(f"error: {error}", file=sys.stderr, flush=True)
            else:
                log.exception("worker_failed")
            shutil.rmtree(datadir, ignore_errors=True)
            os._exit(2 if isinstance(error, FraudsimError) else 1)

    return app


def run_worker(settings: Settings) -> None:
    """Run until a signal. The process exits with 2 on a `FraudsimError`, with 1 on any other error."""
    import uvloop

    # The policy, not a loop: Faust makes loops of its own, in two threads.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    log = set_up_logs(settings, settings.worker_name)
    log.info("worker_starting", metrics_port=metrics.serve_metrics(settings))
    clock_log = open_clock(settings)
    await_redis(settings, log)
    warm_up_kernel()
    store = StateStore(RedisClient.with_long_timeouts(settings.redis_url))
    inbox = Inbox()
    with tempfile.TemporaryDirectory(prefix="fraudsim-faust-", ignore_cleanup_errors=True) as datadir:

        async def fold(consumer: Any) -> None:
            await fold_log(settings, store, clock_log, log, inbox, consumer)

        app = build_app(settings, inbox, fold, log, Path(datadir))
        faust.Worker(app, loglevel="WARN", redirect_stdouts=False).execute_from_commandline()
