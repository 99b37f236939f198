"""The generator's own floor: what it measures against a loopback echo."""

import math
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from load_tests.load.clocks.histograms import LatencyHistogram
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.run.locust_process import send_by_locust

ECHO_S: Final = 2.0
START_S: Final = 20.0


@contextmanager
def echo_url() -> Iterator[str | None]:
    """The address of an echo server, which runs for the length of the block; None if it does not start."""
    server = subprocess.Popen(
        [sys.executable, "-m", "load_tests.load.run.echo_server"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        is_ready, _, _ = select.select([server.stdout], [], [], START_S)
        line = server.stdout.readline() if is_ready else b""
        yield f"http://127.0.0.1:{int(line)}/" if line.strip() else None
    finally:
        server.kill()
        server.communicate()


def echo_p99_ms(plan: LoadPlan, workers: int, stop: threading.Event) -> float:
    """p99 of this generator against the echo, at the plan's rate; infinite if it did not get through."""
    with tempfile.TemporaryDirectory(prefix="fraudsim-echo-") as folder, echo_url() as url:
        if url is None:
            return math.inf
        echo_plan = msgspec.structs.replace(
            plan, folder=folder, url=url, fraudsim=False, seconds=min(ECHO_S, plan.seconds),
            arrivals=plan.arrivals if plan.arrivals in ("constant", "poisson") else "poisson",
        )  # fmt: skip
        if plan.fraudsim:
            echo_plan = msgspec.structs.replace(echo_plan, bodies=None)
        sent = send_by_locust(echo_plan, workers, stop)
    good = sent.records[sent.records["good"] == 1]
    if stop.is_set() or not len(good) or len(good) < sent.scheduled:
        return math.inf
    return LatencyHistogram.of(good["completed_us"] - good["intended_us"]).quantile_ms(0.99) or 0.0
