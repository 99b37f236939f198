"""A stream's generator alone, and the null pipeline: the same schedule through a bare relay.

The generator's own error is what its sends were late by, and what its reading took from the broker's append:
the broker and the relay between are not the generator's. The latency through all of it is the floor below
which no line on this broker and machine comes; it is shown and never refuses.
"""

import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from fraudsim.log.topics import create_topics
from fraudsim.settings import Settings, variable
from load_tests.load.clocks.histograms import LatencyHistogram
from load_tests.load.clocks.records import Records
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.run.stream_process import send_stream

PREFIX: Final = "load."
"""Of the self-check's topics."""
CHECK_S: Final = 4.0
START_S: Final = 60.0
STOP_S: Final = 10.0


@dataclass(frozen=True)
class StreamCheck:
    """What a generator measures where no line is; infinite and empty if not everything came back."""

    own_p99_ms: float
    """Of lateness before the send, and of reading after the broker's append (to the ms, rounded up)."""
    floor_ms: dict[str, float | None]
    """From intended to read back through a bare relay: p50, p90, p99, p999, max."""


def check_stream(plan: LoadPlan, settings: Settings, stop: threading.Event) -> StreamCheck:
    """The check of a plan's generator at its rate, on the line's broker.

    Raises:
        FraudsimError: the topics cannot be made, or the sender cannot start.
    """
    create_topics(settings, PREFIX)
    with tempfile.TemporaryDirectory(prefix="fraudsim-echo-") as folder, _relay(settings) as is_ready:
        if not is_ready:
            return StreamCheck(math.inf, {})
        bare_plan = msgspec.structs.replace(
            plan, run_id=f"{plan.run_id}-bare", folder=folder, topic_prefix=PREFIX,
            seconds=min(CHECK_S, plan.seconds),
            arrivals=plan.arrivals if plan.arrivals in ("constant", "poisson") else "poisson",
        )  # fmt: skip
        sent = send_stream(bare_plan, settings, stop)
    good = sent.records[sent.records["good"] == 1]
    if stop.is_set() or not len(good) or len(good) < sent.scheduled:
        return StreamCheck(math.inf, {})
    floor = LatencyHistogram.of(good["completed_us"] - good["intended_us"])
    return StreamCheck(own_p99_ms(good), floor.figures_ms())


def own_p99_ms(records: Records) -> float:
    """p99 of what a generator itself adds: before the send, and after the append of what it reads."""
    before_us = records["sent_us"] - records["intended_us"]
    after_us = records["completed_us"] - records["appended"]
    return LatencyHistogram.of(before_us + after_us).quantile_ms(0.99) or 0.0


@contextmanager
def _relay(settings: Settings) -> Iterator[bool]:
    """A relay between the self-check's topics; whether it came to read."""
    env = {
        **os.environ,
        variable("kafka_bootstrap"): settings.kafka_bootstrap,
        variable("partitions"): str(settings.partitions),
    }
    relay = subprocess.Popen(
        [sys.executable, "-m", "load_tests.load.streaming.bare_relay", PREFIX],
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert relay.stdout is not None
        answers, _, _ = select.select([relay.stdout], [], [], START_S)
        yield bool(answers and relay.stdout.readline().strip())
    finally:
        relay.send_signal(signal.SIGTERM)
        try:
            relay.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            relay.kill()
            relay.communicate()
