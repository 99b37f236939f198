"""What single requests wait for beside batches of a thousand, handled whole and in slices; a real scorer.

python tests/scorer/batch_bench.py [seconds]
"""

import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from fraudsim.log.events import encoder
from scorer.http import scoring as http_scoring
from testing.rigs.live_scorer import live_scorer
from testing.rigs.open_loop import OpenLoop
from testing.samples.small_models import make_models

RATE, PAUSE_S, SIZE = 200, 0.1, 1_000


def single(tx_id, n):
    return encoder.encode({"tx_id": tx_id, "card_id": f"s{n % 500}", "amount_cents": 100 + n})


class Batches(threading.Thread):
    """One batch after another, with a pause between."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{port}/v1/score/batch"
        self.took = []
        self.decided = self.shed = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(PAUSE_S):
            started = time.monotonic()
            many = [
                {"tx_id": f"batch-{started}-{n}", "card_id": f"b{n}", "amount_cents": 100 + n}
                for n in range(SIZE)
            ]
            body = encoder.encode({"transactions": many})
            try:
                with urllib.request.urlopen(urllib.request.Request(self.url, body), timeout=60) as reply:
                    self.decided += reply.read().count(b'"status":200')
                self.took.append(time.monotonic() - started)
            except urllib.error.HTTPError:
                self.shed += 1


def measured(port, seconds, name, meanwhile=None):
    singles = OpenLoop(port, "/v1/score", RATE, lambda n: single(f"{name[:5]}-{n}", n))
    singles.start()
    if meanwhile is not None:
        meanwhile.start()
    time.sleep(seconds)
    if meanwhile is not None:
        meanwhile.over.set()
        meanwhile.join()
    singles.end()
    ms = sorted(1000 * took for _, status, _, took in singles.replies if status == 200)
    degraded = sum(reply["degraded"] for _, status, reply, _ in singles.replies if status == 200)
    print(
        f"{name}: {len(ms)} singles at {RATE}/s, from due to reply p50 {ms[len(ms) // 2]:.1f}, "
        f"p99 {ms[int(0.99 * len(ms))]:.1f}, max {ms[-1]:.1f} ms; {degraded} degraded, "
        f"{len(singles.replies) - len(ms)} shed"
    )


def main(seconds):
    for size in (SIZE, http_scoring.SLICE):
        program = (
            f"from scorer import http_scoring; http_scoring.SLICE = {size}; "
            "from fraudsim.cli import main; import sys; sys.argv = ['fraudsim', 'scorer']; main()"
        )
        with tempfile.TemporaryDirectory(prefix="batch-bench-") as folder:
            (model,) = make_models(Path(folder), 1, 200)
            with live_scorer(
                Path(folder), ("-c", program), model_dir=model, http_max_batch_body_bytes=4_000_000
            ) as line:
                measured(line.http_port, seconds, "alone")
                batches = Batches(line.http_port)
                measured(line.http_port, seconds, f"beside batches in slices of {size}", batches)
        took = sorted(batches.took)
        print(
            f"{len(took)} batches of {SIZE}: median {took[len(took) // 2]:.2f} s, at most {took[-1]:.2f} s; "
            f"{batches.decided} decided, {batches.shed} batches shed"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
