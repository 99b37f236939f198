"""Locust with an open-loop schedule: arrivals from a seed, latency counted from the intended send time.

    fraudsim load run --url http://127.0.0.1:8000 --rate 200 --seconds 30 --out runs/load
    FRAUDSIM_LOAD_RATE=200 locust -f load_tests/locustfile.py -u 64 -r 64 --host http://127.0.0.1:8000

The first writes a result with a verdict and starts Locust itself; the second serves Locust's page. A user of
Locust is only a sender: however many there are, and however long they wait for answers, the rate is
`FRAUDSIM_LOAD_RATE` (requests a second over all workers, default 100), for `FRAUDSIM_LOAD_SECONDS` (600), in
the shape `FRAUDSIM_LOAD_ARRIVALS` (`poisson`). The row "from intended send" counts from the schedule;
Locust's own row counts from the send, and shows how wrong that is while the target stands still.
"""

from typing import Any

from locust import events

from fraudsim.errors import FraudsimError
from load_tests.load.generators.locust_run import LocustRun
from load_tests.load.generators.locust_user import ScheduledSender

__all__ = ["ScheduledSender"]


@events.init.add_listener
def prepare(environment: Any, **_: Any) -> None:
    """Read the plan before any user starts."""
    try:
        LocustRun(environment)
    except FraudsimError as error:
        raise SystemExit(f"error: {error}") from None
