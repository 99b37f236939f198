"""Locust against `POST /v1/score`, with latency counted from the intended send time.

    locust -f load_tests/locustfile.py --headless -u 20 -t 60s --host http://127.0.0.1:8000

A Locust user waits for each reply before it sends again, so a stall of the server also stalls the load and
does not show in Locust's percentiles. Each user here keeps a schedule of intended send times
(`FRAUDSIM_LOAD_RATE` requests a second over all users, default 100) that a stall does not move; the row
"from intended send" counts from those times. It counts the requests of the row "/v1/score" a second time, so
the total leaves it out.

A user's interval is set when it starts, from the number of users that there will be (`-u`): while users are
being added the rate rises to `FRAUDSIM_LOAD_RATE`. For another number of users start Locust again.
"""

import os
import random
import time
import uuid
from typing import Any, Final

import gevent
from locust import FastHttpUser, task

CARDS: Final = 5_000
MERCHANTS: Final = 1_000
PATH: Final = "/v1/score"
FROM_INTENDED_SEND: Final = "from intended send"


def load_rate() -> float:
    """Requests a second over all users, from `FRAUDSIM_LOAD_RATE`."""
    text = os.environ.get("FRAUDSIM_LOAD_RATE", "100")
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise SystemExit(f"error: FRAUDSIM_LOAD_RATE={text}: requests a second, a number above 0")
    return rate


RATE: Final = load_rate()


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


def problem_of(reply: Any) -> str | None:
    """What is wrong with a reply; None for a decision, and where there is no reply at all."""
    if reply.status_code == 0:
        return None
    if reply.status_code != 200:
        return f"{reply.status_code}: {(reply.text or '')[:200]}"
    try:
        decision = reply.json()
    except ValueError:
        return "the reply is not JSON"
    action = decision.get("action") if isinstance(decision, dict) else None
    return None if action in ("approve", "step_up", "review", "decline") else "no action in the reply"


class Cardholder(FastHttpUser):
    """One user; all users together send at `RATE`."""

    def on_start(self) -> None:
        options = self.environment.parsed_options
        users = (options and options.num_users) or self.environment.runner.target_user_count
        self.interval_s = max(1, users) / RATE
        self.rng = random.Random()
        self.intended_s = time.perf_counter() + self.rng.random() * self.interval_s
        token = os.environ.get("FRAUDSIM_HTTP_TOKEN")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def wait_time(self) -> float:
        self.intended_s += self.interval_s
        return max(0.0, self.intended_s - time.perf_counter())

    @task
    def score(self) -> None:
        # Locust does not wait before the first request, and gevent's timers may end early.
        while (early_s := self.intended_s - time.perf_counter()) > 0:
            gevent.sleep(early_s)
        body = transaction(self.rng)
        with self.client.post(PATH, json=body, headers=self.headers, catch_response=True) as reply:
            problem = problem_of(reply)
            if problem is not None:
                reply.failure(problem)
        # Counted in its row alone: a request event would count in the total as well.
        row = self.environment.stats.get(FROM_INTENDED_SEND, "POST")
        row.log((time.perf_counter() - self.intended_s) * 1000, 0)
        if problem is not None or reply.status_code == 0:
            row.log_error(problem)
