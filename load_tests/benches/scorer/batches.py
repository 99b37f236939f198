"""Latency of single requests beside batches of a thousand, handled whole and in slices, on a real scorer.

python -m load_tests.benches.scorer.batches [seconds]
"""

import http.client
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from fraudsim.log.events import encoder
from load_tests.rig.open_loop import LoadGenerator
from scorer.http import scoring
from testing.rigs.live_scorer import live_scorer
from testing.samples.small_models import make_models

RATE: Final = 200
"""Single requests a second."""
CONNECTIONS: Final = 64
BATCH_SIZE: Final = 1_000
PAUSE_S: Final = 0.1
"""Between batches."""
DEGRADED: Final = b'"degraded":true'


def single_request(name: str, number: int) -> bytes:
    """A whole HTTP request for one transaction."""
    body = encoder.encode(
        {"tx_id": f"{name}-{number}", "card_id": f"s{number % 500}", "amount_cents": 100 + number}
    )
    head = f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class BatchClient(threading.Thread):
    """Sends one batch after another, with a pause between, until stopped."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.durations_s: list[float] = []
        self.decided = 0
        """Transactions with status 200."""
        self.shed = 0
        """Batches that were refused."""
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(PAUSE_S):
            started = time.monotonic()
            transactions = [
                {"tx_id": f"batch-{started}-{n}", "card_id": f"b{n}", "amount_cents": 100 + n}
                for n in range(BATCH_SIZE)
            ]
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("POST", "/v1/score/batch", encoder.encode({"transactions": transactions}))
            reply = connection.getresponse()
            body = reply.read()
            connection.close()
            if reply.status == 200:
                self.decided += body.count(b'"status":200')
                self.durations_s.append(time.monotonic() - started)
            else:
                self.shed += 1


def measure_singles(port: int, seconds: float, name: str, batches: BatchClient | None = None) -> None:
    """Print the latency of singles at `RATE` from their intended send times; `batches` runs meanwhile."""
    generator = LoadGenerator("127.0.0.1", port, CONNECTIONS, DEGRADED)
    if batches is not None:
        batches.start()
    load = generator.open(lambda number: single_request(name[:5], number), 0, RATE, seconds)
    if batches is not None:
        batches.stopped.set()
        batches.join()
    generator.close()
    degraded = load.refused.get(200, 0)
    print(
        f"{name}: {load.answered} singles at {RATE}/s, from due to reply p50 {load.percentile_ms(50):.1f}, "
        f"p99 {load.percentile_ms(99):.1f}, max {load.percentile_ms(100):.1f} ms; {degraded} degraded, "
        f"{load.requests - load.answered - degraded} shed"
    )


def main(seconds: float) -> None:
    """Measure a scorer whose batches are handled whole, then one whose batches are sliced."""
    for slice_size in (BATCH_SIZE, scoring.SLICE):
        program = (
            f"from scorer.http import scoring; scoring.SLICE = {slice_size}; "
            "from fraudsim.cli import main; import sys; sys.argv = ['fraudsim', 'scorer']; main()"
        )
        with tempfile.TemporaryDirectory(prefix="batch-bench-") as folder:
            (model,) = make_models(Path(folder), 1, 200)
            with live_scorer(
                Path(folder), ("-c", program), model_dir=model, http_max_batch_body_bytes=4_000_000
            ) as settings:
                measure_singles(settings.http_port, seconds, "alone")
                batches = BatchClient(settings.http_port)
                measure_singles(
                    settings.http_port, seconds, f"beside batches in slices of {slice_size}", batches
                )
        durations_s = sorted(batches.durations_s)
        print(
            f"{len(durations_s)} batches of {BATCH_SIZE}: median {durations_s[len(durations_s) // 2]:.2f} s, "
            f"at most {durations_s[-1]:.2f} s; {batches.decided} decided, {batches.shed} batches shed"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
