"""What the live page costs: CPU of its process and of a browser's tab, with ten clients, at a rate.

python -m tests.dashboards.page.measure_cost [--rate 1000] [--seconds 30] [--lagged]
A real Kafka gets transactions and decisions at the rate; nine clients read the stream over plain HTTP, the
tenth is the system's Chromium, where playwright is there.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
from kafka import KafkaProducer

from fraudsim.addresses import open_direct
from fraudsim.log import topics
from fraudsim.log.clock_log import ClockLog, next_segment, start_log
from fraudsim.log.events import Decision, LogPrefix, Stamps, Transaction, encoder
from fraudsim.settings import Settings
from runner.stack.stack import stack
from stream_features.catalogue.features import HASH, NAMES

CLIENTS = 9
SETTLE_S = 8.0
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
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


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
        process, address = opened.enter_context(page_process(settings, folder))
        stop = threading.Event()
        opened.callback(stop.set)
        for _ in range(CLIENTS):
            threading.Thread(target=read_stream, args=(address, stop), daemon=True).start()
        traffic = Traffic(settings, rate, lagged)
        traffic.start()
        opened.callback(traffic.ended.set)
        session = opened.enter_context(browser_tab(address))
        time.sleep(SETTLE_S)
        before, before_tab = process.cpu_times(), task_s(session) if session else 0.0
        started_s = time.monotonic()
        time.sleep(seconds)
        after, tab_s = process.cpu_times(), task_s(session) - before_tab if session else None
        elapsed_s = time.monotonic() - started_s
        cpu_s = after.user + after.system - before.user - before.system
        with open_direct(address.replace("/?", "/?truth=off&"), timeout_s=10) as reply:
            html = reply.read().decode()
        shown = float(html.split('data-figure="rate" value="')[1].split('"')[0])
        return {
            "shown_rate": shown, "process_share": round(cpu_s / elapsed_s, 4),
            "tab_share": None if tab_s is None else round(tab_s / elapsed_s, 4),
        }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--lagged", action="store_true", help="with a scorer beside the line")
    arguments = parser.parse_args()
    print(msgspec.json.encode(measure(arguments.rate, arguments.seconds, arguments.lagged)).decode())
