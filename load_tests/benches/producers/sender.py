"""`fraudsim bench sender`: the live sender on either Kafka client, and with ticks of several lengths."""

import multiprocessing
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from fraudsim.log.clock_log import start_log
from fraudsim.log.topics import CLOCK, create_topics
from fraudsim.process.logs import set_up_logs
from fraudsim.settings import Settings
from load_tests.rig.machine import machine
from producers.outbox.clients import open_outbox
from producers.outbox.outbox import OnAck, Outbox
from producers.sender.clock_starter import DirectClockStarter
from producers.sender.schedule import LATE_US
from producers.sender.send_plan import SendControl, SendPlan
from producers.sender.sender import SWITCH_INTERVAL_S, send
from producers.sources.even_source import START_MS, EvenSource
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Supervisor

PROTOCOL: Final = (
    "Each turn is a fresh process that sends synthetic transactions of 5,000 cards at an even rate through "
    "the live sender (idempotent, acks=all) to four partitions of a real Kafka on the same machine. CPU is "
    "of the sender's whole process, generating the records included, from the first hand-over to the last "
    "acknowledgement; the broker's over the same time. Delay is hand-over minus intended time, so it "
    "includes the tick; a send call is one hand-over to the client. No scorer or worker runs beside it. "
    "Turns alternate; medians."
)
TICKS_MS: Final = {"kafka-python": 15, "confluent": 1}
"""Compared with each other at every rate."""


@dataclass(frozen=True)
class SenderVariant:
    """One client, tick and rate."""

    sender: str
    tick_ms: int
    rate: int

    @property
    def name(self) -> str:
        return f"{self.sender}, {self.rate:,} tx/s, ticks of {self.tick_ms} ms"


class TimedOutbox:
    """An `Outbox` around another that times its calls."""

    def __init__(self, outbox: Outbox, broker: psutil.Process | None) -> None:
        self._outbox = outbox
        self._broker = broker
        self.calls_us: list[float] = []
        self.records = 0
        self.started: tuple[float, float, float] | None = None
        self.last_s = 0.0
        self.cpu_s = self.broker_s = 0.0

    def _clocks(self) -> tuple[float, float, float]:
        used = self._broker.cpu_times() if self._broker is not None else None
        return time.perf_counter(), time.process_time(), used.user + used.system if used else 0.0

    @property
    def outstanding(self) -> int:
        return self._outbox.outstanding

    def hand_over(
        self,
        topic: str,
        key: str,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_ack: OnAck | None = None,
    ) -> None:
        if self.started is None:
            self.started = self._clocks()
        before = time.perf_counter()
        self._outbox.hand_over(topic, key, value, headers, on_ack)
        self.last_s = time.perf_counter()
        self.calls_us.append((self.last_s - before) * 1e6)
        self.records += 1

    def wait_for_room(self, timeout_s: float = 1.0) -> bool:
        return self._outbox.wait_for_room(timeout_s)

    def check(self) -> None:
        self._outbox.check()

    def flush(self, timeout_s: float = 60.0) -> None:
        self._outbox.flush(timeout_s)
        if self.started is not None:
            _, cpu_s, broker_s = self._clocks()
            self.cpu_s, self.broker_s = cpu_s - self.started[1], broker_s - self.started[2]

    def close(self, timeout_s: float = 5.0) -> None:
        self._outbox.close(timeout_s)


def run_turn(
    variant: SenderVariant, bootstrap: str, seconds: float, prefix: str, broker_pid: int | None
) -> dict[str, Any]:
    """One turn of a variant, in a process of its own: CPU, delays, throughput."""
    settings = Settings(_env_file=None, kafka_bootstrap=bootstrap).model_copy(
        # Falling behind is a result here, not a warning.
        update={"sender": variant.sender, "tick_ms": variant.tick_ms, "log_level": "ERROR"}
    )
    set_up_logs(settings, "bench")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    create_topics(settings, prefix)
    clock_log = start_log(settings, START_MS, 1.0, "", "", prefix + CLOCK)
    broker = psutil.Process(broker_pid) if broker_pid is not None else None
    opened: list[TimedOutbox] = []

    def opener(settings: Settings, topics: Sequence[str]) -> TimedOutbox:
        opened.append(TimedOutbox(open_outbox(settings, topics), broker))
        return opened[0]

    source = EvenSource(variant.rate, round(variant.rate * seconds))
    report = send(
        source,
        settings,
        SendPlan(speed=1.0, prefix=prefix),
        DirectClockStarter(clock_log, source, 1.0),
        SendControl(stop=threading.Event()),
        opener,
    )
    (timed,) = opened
    assert timed.started is not None
    took_s = timed.last_s - timed.started[0]
    call_p99_us = float(np.percentile(timed.calls_us, 99))
    return {
        "cpu_s_per_1000_records": round(timed.cpu_s / timed.records * 1000, 4),
        "core_share": round(timed.cpu_s / took_s, 3),
        "broker_core_share": round(timed.broker_s / took_s, 3) if broker is not None else None,
        "delay_p50_ms": report.delay_p50_ms,
        "delay_p99_ms": report.delay_p99_ms,
        "send_call_p99_us": round(call_p99_us, 1),
        "achieved_tx_per_second": round(report.transactions_timed / took_s, 1),
        "late_share": round(report.late / report.transactions_timed, 5),
        "behind_s": report.behind_s,
        "transactions": report.transactions_timed,
        "records": timed.records,
    }


def bench_sender(
    bootstrap: str,
    rates: Sequence[int],
    ticks_ms: Sequence[int],
    seconds: float,
    turns: int,
    broker_pid: int | None = None,
) -> dict[str, Any]:
    """The report, ready for JSON, measured on a running Kafka."""
    contestants = [SenderVariant(sender, TICKS_MS[sender], rate) for rate in rates for sender in TICKS_MS]
    contestants += [
        SenderVariant("kafka-python", tick, rates[0]) for tick in ticks_ms if tick != TICKS_MS["kafka-python"]
    ]
    figures: dict[SenderVariant, list[dict[str, Any]]] = {variant: [] for variant in contestants}
    context = multiprocessing.get_context("spawn")
    counts: Counter[SenderVariant] = Counter()
    for _ in range(turns):
        for number, variant in enumerate(contestants):
            counts[variant] += 1
            prefix = f"bench.{number}.{counts[variant]}."
            with context.Pool(1) as pool:
                figures[variant].append(
                    pool.apply(run_turn, (variant, bootstrap, seconds, prefix, broker_pid))
                )
    results = [_result(variant, turn_figures) for variant, turn_figures in figures.items()]
    return {
        "machine": machine(("kafka-python", "confluent-kafka")),
        "protocol": PROTOCOL,
        "configuration": {
            "rates": list(rates),
            "ticks_ms": list(ticks_ms),
            "seconds": seconds,
            "turns": turns,
            "late_ms": LATE_US / 1000,
        },
        "results": results,
        "ratios": {
            f"kafka-python at {rate:,} tx/s": round(_cpu(results, "kafka-python", rate) / confluent, 2)
            for rate in rates
            if (confluent := _cpu(results, "confluent", rate))
        },
    }


def bench_on_own_stack(
    rates: Sequence[int], ticks_ms: Sequence[int], seconds: float, turns: int
) -> dict[str, Any]:
    """`bench_sender` on a stack that is started for it."""
    with tempfile.TemporaryDirectory() as folder, Supervisor(Path(folder) / "logs") as supervisor:
        addresses = start_stack(Path(folder) / "stack", Settings(_env_file=None), supervisor)
        broker = supervisor.pid("kafka")
        return bench_sender(addresses.kafka_bootstrap, rates, ticks_ms, seconds, turns, broker)


def _result(variant: SenderVariant, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the turns; `value` is the cost of a thousand records."""
    medians = {
        name: float(np.median([turn[name] for turn in turns])) if turns[0][name] is not None else None
        for name in turns[0]
    }
    return {
        "name": variant.name,
        "value": medians["cpu_s_per_1000_records"],
        "unit": "CPU s per 1,000 records",
        "sender": variant.sender,
        "rate": variant.rate,
        "tick_ms": variant.tick_ms,
        **medians,
    }


def _cpu(results: list[dict[str, Any]], sender: str, rate: int) -> float:
    return next(float(r["value"]) for r in results if (r["sender"], r["rate"]) == (sender, rate))
