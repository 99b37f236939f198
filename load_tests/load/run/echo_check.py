"""The generator's own floor: what it measures against a loopback echo."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from load_tests.load.clocks.histograms import LatencyHistogram
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.run.locust_process import send_by_locust

ECHO_S: Final = 3.0


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
