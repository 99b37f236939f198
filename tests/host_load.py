"""A bounded open-loop load on `POST /v1/score` through a published port; every reply is counted."""

import http.client
import json
import threading
import time
from collections import Counter


def body(n, prefix):
    """A valid transaction of one of 397 cards."""
    return {
        "tx_id": f"{prefix}{n}", "card_id": f"{prefix}c{n % 397}", "merchant_id": f"{prefix}m{n % 89}",
        "amount_cents": 100 + n % 20_000, "currency": "EUR", "mcc": 5411, "channel": "pos", "country": "DE",
    }  # fmt: skip


def post(connection, transaction):
    """Send a transaction; returns the status, and the Retry-After seconds of a 503, else None."""
    connection.request("POST", "/v1/score", json.dumps(transaction), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    retry_after = reply.headers.get("Retry-After") if reply.status == 503 else None
    return reply.status, retry_after and float(retry_after)


def send(address, rate, seconds, prefix, threads=20):
    """Send `rate` transactions a second, each at its intended time; returns the number of replies by status.

    A transaction refused with Retry-After is sent again after that time, and also counts as "again". A closed
    connection is opened again; its transaction counts as "no reply".
    """
    host, port = address.rsplit(":", 1)
    counts = [Counter() for _ in range(threads)]
    start_s = time.monotonic()

    def work(thread_index):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        for n in range(thread_index, int(rate * seconds), threads):
            time.sleep(max(0.0, start_s + n / rate - time.monotonic()))
            try:
                status, retry_after_s = post(connection, body(n, prefix))
                while retry_after_s is not None:
                    counts[thread_index]["again"] += 1
                    time.sleep(retry_after_s)
                    status, retry_after_s = post(connection, body(n, prefix))
            except (OSError, http.client.HTTPException):
                connection.close()
                status = "no reply"
            counts[thread_index][status] += 1
        connection.close()

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts, Counter())
