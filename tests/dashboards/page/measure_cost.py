"""What the live page costs: CPU of its process and of a browser's tab, with ten clients, at a rate.

python -m tests.dashboards.page.measure_cost [--rate 1000] [--seconds 30] [--lagged]
A real Kafka gets transactions and decisions at the rate; every part of a line answers with metrics as large
as a scorer's; nine clients read the stream over plain HTTP, the tenth is the system's Chromium, where
playwright is there.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import psutil
from kafka import KafkaProducer
from prometheus_client import generate_latest

from fraudsim import metrics
from fraudsim.addresses import RunningLine, RunningPart, open_direct
from fraudsim.log import topics
from fraudsim.log.clock_log import ClockLog, next_segment, start_log
from fraudsim.log.events import Decision, LogPrefix, Stamps, Transaction, encoder
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.line.parts import PARTS
from runner.stack.stack import StackAddresses, stack
from stream_features.catalogue.features import HASH, NAMES

CLIENTS = 9
METRICS_BYTES = 24_000
SETTLE_S = 8.0
REACHED = 0.95
REACH_S = 120.0
"""Longest wait for the page to show that share of the rate; beyond, the machine is too busy to measure."""
SPEED = 2_720.0
START_MS = 1_700_000_000_000
BATCH_S = 0.02


def decided(number: int, offset: int, partition: int, now_us: int, rng: random.Random) -> Decision:
    score = rng.random() ** 8
    action = "approve" if score < 0.9 else rng.choice(["step_up", "review", "decline"])
    stamps = Stamps(
        intended=now_us - rng.randrange(5_000, 40_000), received=now_us, state_read=now_us, features=now_us,
        scored=now_us, decided=now_us,
    )  # fmt: skip
    return Decision(
        tx_id=f"t{number:016x}", ts=START_MS + number, card_id=f"c{number * 7919 % 5000}", score=score,
        amount_cents=rng.randrange(100, 50_000), action=action, reasons=["card_count_1h", "amount_ratio"],
        rule_hits=[], model_version="0123456789abcdef", policy_version="p1", variant="champion",
        stamps=stamps, source_partition=partition, source_offset=offset, staleness_ms=3.0,
        prefix=LogPrefix(slots={str(s): [offset] * 8 for s in range(8)}, tail_from=[0] * 4, tail_to=[0] * 4),
        features=[rng.random() * 100 for _ in NAMES], feature_hash=HASH, channel="ecommerce",
        merchant_id=f"m{number % 1000}", probability=score,
    )  # fmt: skip


class Traffic(threading.Thread):
    """Transactions and their decisions at a rate, evenly."""

    def __init__(self, settings: Settings, rate: int, lagged: bool) -> None:
        super().__init__(daemon=True)
        self._producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap, linger_ms=5)
        self._rate, self._partitions = rate, settings.partitions
        self._topics = [topics.DECISIONS, *([topics.LAGGED_DECISIONS] if lagged else [])]
        self.ended = threading.Event()

    def run(self) -> None:
        rng, number, started_s = random.Random(7), 0, time.monotonic()
        while not self.ended.wait(BATCH_S):
            due = int((time.monotonic() - started_s) * self._rate)
            for number in range(number, due):  # noqa: B020
                self._send(number, rng)
            number = max(number, due)

    def _send(self, number: int, rng: random.Random) -> None:
        partition, offset = number % self._partitions, number // self._partitions
        decision = decided(number, offset, partition, time.time_ns() // 1000, rng)
        tx = Transaction(
            tx_id=decision.tx_id, ts=decision.ts, card_id=decision.card_id, amount_cents=decision.amount_cents
        )
        self._producer.send(topics.TRANSACTIONS, encoder.encode(tx), partition=partition)
        value = encoder.encode(decision)
        for topic in self._topics:
            self._producer.send(topic, value, partition=partition)


def metrics_page() -> bytes:
    """As large as a scorer's page of metrics after a while."""
    text = generate_latest(metrics.registry)
    filler = b'fraudsim_filler_seconds_bucket{le="0.%03d",stage="features"} 1234.0\n'
    missing = range((METRICS_BYTES - len(text)) // len(filler))
    return text + b"".join(filler % number for number in missing)


@contextmanager
def parts_that_answer(folder: Path, addresses: StackAddresses) -> Iterator[None]:
    """A server that answers for every part of the line in a run folder."""
    text = metrics_page()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:  # the page may have given up asking
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    parts = {part.name: RunningPart(part.job, server.server_port, os.getpid()) for part in PARTS}
    RunningLine(addresses.kafka_bootstrap, addresses.redis_url, "", parts).write(folder)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def page_process(settings: Settings, folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    env = {
        **os.environ, "FRAUDSIM_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FRAUDSIM_REDIS_URL": settings.redis_url, "FRAUDSIM_PAGE_PORT": "0",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "fraudsim", "page", "--run", str(folder)], env=env, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        lines = (json.loads(line) for line in process.stderr if line.startswith("{"))
        address = next(line["address"] for line in lines if line["event"] == "page")
        threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
        yield psutil.Process(process.pid), address
    finally:
        process.terminate()
        process.wait(30)


def read_stream(address: str, stop: threading.Event) -> None:
    with open_direct(address.replace("/?", "/events?"), timeout_s=30) as reply:
        while not stop.is_set():
            reply.readline()


@contextmanager
def browser_tab(address: str) -> Iterator[Any]:
    """A CDP session of a tab that shows the page; None where no browser can be had."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield None
        return
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        yield session
        browser.close()


def task_s(session: Any) -> float:
    entries = session.send("Performance.getMetrics")["metrics"]
    return float(next(entry["value"] for entry in entries if entry["name"] == "TaskDuration"))


def shown_rate(address: str) -> float:
    with open_direct(address.replace("/?", "/?truth=off&"), timeout_s=30) as reply:
        found = re.search(r'data-figure="rate" value="([^"]+)"', reply.read().decode())
    return float(found[1]) if found else 0.0


def measure(rate: int, seconds: float, lagged: bool = False) -> dict[str, float | None]:
    """Shares of a core: of the page's process, and of the tab's main thread (TaskDuration by wall time)."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        addresses = opened.enter_context(stack(folder / "stack", Settings(_env_file=None)))
        settings = Settings(
            _env_file=None, kafka_bootstrap=addresses.kafka_bootstrap, redis_url=addresses.redis_url
        )
        topics.create_topics(settings)
        clock: ClockLog = start_log(settings, START_MS, SPEED, "", "")
        clock.append(next_segment(clock.clock, SPEED, START_MS, round(time.time() * 1000)))
        opened.enter_context(parts_that_answer(folder, addresses))
        process, address = opened.enter_context(page_process(settings, folder))
        stop = threading.Event()
        opened.callback(stop.set)
        for _ in range(CLIENTS):
            threading.Thread(target=read_stream, args=(address, stop), daemon=True).start()
        traffic = Traffic(settings, rate, lagged)
        traffic.start()
        opened.callback(traffic.ended.set)
        session = opened.enter_context(browser_tab(address))
        if not poll_until(lambda: shown_rate(address) >= REACHED * rate, REACH_S, every_s=1.0):
            raise SystemExit(f"{shown_rate(address):.0f}/s of {rate}/s reached: this machine is too busy")
        time.sleep(SETTLE_S)
        before, before_tab = process.cpu_times(), task_s(session) if session else 0.0
        started_s = time.monotonic()
        time.sleep(seconds)
        after, tab_s = process.cpu_times(), task_s(session) - before_tab if session else None
        elapsed_s = time.monotonic() - started_s
        cpu_s = after.user + after.system - before.user - before.system
        return {
            "shown_rate": shown_rate(address), "process_share": round(cpu_s / elapsed_s, 4),
            "tab_share": None if tab_s is None else round(tab_s / elapsed_s, 4),
        }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--lagged", action="store_true", help="with a scorer beside the line")
    arguments = parser.parse_args()
    print(msgspec.json.encode(measure(arguments.rate, arguments.seconds, arguments.lagged)).decode())
