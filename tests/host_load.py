"""An open-loop load on `POST /v1/score` through a published port: bounded, and every reply accounted for."""

import http.client
import json
import threading
import time
from collections import Counter


def body(n, prefix):
    """A plausible transaction of one of some hundred cards."""
    return {
        "tx_id": f"{prefix}{n}", "card_id": f"{prefix}c{n % 397}", "merchant_id": f"{prefix}m{n % 89}",
        "amount_cents": 100 + n % 20_000, "currency": "EUR", "mcc": 5411, "channel": "pos", "country": "DE",
    }  # fmt: skip


def post(connection, transaction):
    """The status, and for how many seconds a client is asked to wait; None where it may have its reply."""
    connection.request("POST", "/v1/score", json.dumps(transaction), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    wait = reply.headers.get("Retry-After") if reply.status == 503 else None
    return reply.status, wait and float(wait)


def send(address, rate, seconds, prefix, threads=20):
    """Send `rate` transactions a second, each at its intended time; returns how many had which status.

    One that was turned away is sent again when the scorer asked for it, and counts as "again" besides. A
    connection that ends is opened anew; the transaction on it counts as "no reply".
    """
    host, port = address.rsplit(":", 1)
    found = [Counter() for _ in range(threads)]
    start = time.monotonic()

    def work(mine):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        for n in range(mine, int(rate * seconds), threads):
            time.sleep(max(0.0, start + n / rate - time.monotonic()))
            try:
                status, wait = post(connection, body(n, prefix))
                while wait is not None:
                    found[mine]["again"] += 1
                    time.sleep(wait)
                    status, wait = post(connection, body(n, prefix))
            except (OSError, http.client.HTTPException):
                connection.close()
                status = "no reply"
            found[mine][status] += 1
        connection.close()

    workers = [threading.Thread(target=work, args=(mine,)) for mine in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(found, Counter())
