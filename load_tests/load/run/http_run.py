"""A load over HTTP: the generator's floor against an echo, then the target, in one or several rounds."""

import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import numpy as np

from fraudsim.errors import FraudsimError
from load_tests.load.clocks.histograms import LatencyHistogram
from load_tests.load.clocks.records import DTYPE
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.run.locust_process import SentLoad, send_by_locust
from load_tests.load.verdict.measurement import GeneratorHealth, Measurement

ECHO_S: Final = 3.0
Say = Callable[[str], None]
Renew = Callable[[int], None]
"""Called before each round but the first: restarts the target where it is ours."""


@contextmanager
def echo_url() -> Iterator[str]:
    """The address of an echo server, which runs for the length of the block."""
    server = subprocess.Popen(
        [sys.executable, "-m", "load_tests.load.run.echo_server"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line.strip():
            raise FraudsimError("the echo server for the generator's self-check did not start")
        yield f"http://127.0.0.1:{int(line)}/"
    finally:
        server.terminate()
        server.communicate()


def echo_p99_ms(plan: LoadPlan, workers: int, stop: threading.Event) -> float | None:
    """p99 of this generator against the echo, at the plan's rate; None if it was stopped or got no answer."""
    with tempfile.TemporaryDirectory(prefix="fraudsim-echo-") as folder, echo_url() as url:
        echo_plan = msgspec.structs.replace(
            plan, folder=folder, url=url, fraudsim=False, seconds=min(ECHO_S, plan.seconds),
            arrivals=plan.arrivals if plan.arrivals in ("constant", "poisson") else "poisson",
        )  # fmt: skip
        if plan.fraudsim:
            echo_plan = msgspec.structs.replace(echo_plan, bodies=None)
        sent = send_by_locust(echo_plan, workers, stop)
    if sent.partial or stop.is_set():
        return None
    good = sent.records[sent.records["good"] == 1]
    if len(good) < sent.scheduled:
        raise FraudsimError(
            f"self-check: of {sent.scheduled} requests to a loopback echo {len(good)} were answered: "
            f"{next(iter(sent.errors), 'a worker was lost')}"
        )
    return LatencyHistogram.of(good["completed_us"] - good["intended_us"]).quantile_ms(0.99)


def run_http(
    plan: LoadPlan,
    workers: int,
    rounds: int,
    stop: threading.Event,
    say: Say,
    renew: Renew = lambda _: None,
) -> Measurement:
    """Measure a target.

    Args:
        rounds: how often the plan is sent; `renew` is called between.

    Raises:
        FraudsimError: the generator does not start.
    """
    say("self-check: the same generator against a loopback echo")
    echo_ms = echo_p99_ms(plan, workers, stop)
    sent_rounds: list[SentLoad] = []
    for number in range(rounds):
        if stop.is_set():
            break
        if number:
            renew(number)
        round_plan = msgspec.structs.replace(
            plan, run_id=f"{plan.run_id}-{number}" if number else plan.run_id, seed=plan.seed + number
        )
        say(
            f"load: {plan.rate:g}/s for {plan.seconds:g} s to {plan.url}"
            + (f", round {number + 1}" if rounds > 1 else "")
        )
        sent_rounds.append(send_by_locust(round_plan, workers, stop))
    return measurement_of("http", sent_rounds, echo_ms)


def measurement_of(kind: str, sent_rounds: list[SentLoad], echo_ms: float | None) -> Measurement:
    """One measurement of all rounds."""
    records = [sent.records for sent in sent_rounds] or [np.zeros(0, dtype=DTYPE)]
    healths = [sent.health for sent in sent_rounds] or [GeneratorHealth()]
    errors: Counter[str] = Counter()
    for sent in sent_rounds:
        errors.update(sent.errors)
    return Measurement(
        kind=kind,
        scheduled=sum(sent.scheduled for sent in sent_rounds),
        seconds=sum(sent.seconds for sent in sent_rounds),
        records=np.concatenate(records),
        rounds=np.repeat(np.arange(len(records)), [len(part) for part in records]),
        health=GeneratorHealth(
            probe_wakes=sum(health.probe_wakes for health in healths),
            probe_late=sum(health.probe_late for health in healths),
            probe_max_ms=max(health.probe_max_ms for health in healths),
            cpu_s=sum(health.cpu_s for health in healths),
            lost_workers=max(health.lost_workers for health in healths),
            workers=healths[0].workers,
        ),
        partial=not sent_rounds or any(sent.partial for sent in sent_rounds),
        echo_p99_ms=echo_ms,
        errors=dict(errors),
    )
