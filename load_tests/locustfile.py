"""Locust against `POST /v1/score`, with latency counted from the intended send time.

    locust -f load_tests/locustfile.py --headless -u 20 -t 60s --host http://127.0.0.1:8000

A Locust user waits for each reply before it sends again, so a stall of the server also stalls the load and
does not show in Locust's percentiles. Each user here keeps a schedule of intended send times
(`FRAUDSIM_LOAD_RATE` requests a second over all users, default 100) that a stall does not move; the row
"from intended send" counts from those times.
"""

import os
import random
import time
import uuid
from typing import Any

from locust import FastHttpUser, events, task

RATE = float(os.environ.get("FRAUDSIM_LOAD_RATE", "100"))
CARDS = 5_000
MERCHANTS = 1_000


def transaction(rng: random.Random) -> dict[str, Any]:
    """A plausible body; without `ts`, so the scorer stamps it with the run's clock."""
    return {
        "tx_id": f"load-{uuid.uuid4().hex[:24]}",
        "card_id": f"load-card-{rng.randrange(CARDS)}",
        "merchant_id": f"load-merchant-{int(rng.paretovariate(1.1)) % MERCHANTS}",
        "amount_cents": int(rng.lognormvariate(8.0, 1.0)),
        "currency": "EUR",
        "mcc": rng.choice([5411, 5541, 5812, 5999]),
        "channel": rng.choice(["pos", "ecommerce"]),
        "country": "DE",
    }


class Cardholder(FastHttpUser):
    """One user; all users together send at `RATE`."""

    def on_start(self) -> None:
        self.rng = random.Random()
        self.intended = time.time() + self.rng.random() * self._interval()
        token = os.environ.get("FRAUDSIM_HTTP_TOKEN")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def _interval(self) -> float:
        """Seconds between two sends of one user."""
        return max(1, self.environment.runner.user_count) / RATE

    def wait_time(self) -> float:
        self.intended += self._interval()
        return max(0.0, self.intended - time.time())

    @task
    def score(self) -> None:
        intended = self.intended
        body = transaction(self.rng)
        with self.client.post("/v1/score", json=body, headers=self.headers, catch_response=True) as reply:
            if reply.status_code != 200:
                reply.failure(f"{reply.status_code}: {reply.text[:200]}")
            elif reply.json()["action"] not in ("approve", "step_up", "review", "decline"):
                reply.failure("no action in the reply")
            else:
                reply.success()
        events.request.fire(
            request_type="POST",
            name="from intended send",
            response_time=(time.time() - intended) * 1000,
            response_length=0,
            exception=None,
            context={},
        )
