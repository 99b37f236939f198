"""A worker's share of a load inside Locust: its senders' dispatcher, its records, its outcome."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import gevent

from load_tests.load.arrivals.schedule import share_numbers
from load_tests.load.clocks.records import pack_record
from load_tests.load.generators.answers import check_for
from load_tests.load.generators.bodies import BodySupply
from load_tests.load.generators.dispatcher import Dispatcher, DueRequest, SteadyClock
from load_tests.load.generators.hub_probe import HubProbe
from load_tests.load.generators.kept_connection import Exchange
from load_tests.load.generators.outcome import WorkerOutcome, records_path, write_outcome
from load_tests.load.generators.plan import LoadPlan
from load_tests.rig.scheduling import NORMAL, run_when_due

FLUSH_S: Final = 0.5
POLL_S: Final = 0.02
MAX_ERRORS: Final = 20
"""Kinds of errors that are counted by their text; the others together."""


class LocustShare:
    """One worker's part of the schedule, from start to outcome."""

    def __init__(self, plan: LoadPlan, index: int, workers: int) -> None:
        self.plan = plan
        self.index = index
        self.clock = SteadyClock()
        self.dispatcher = Dispatcher(self.clock)
        self.check = check_for(plan)
        self._offsets_us = plan.schedule()
        self._numbers = share_numbers(len(self._offsets_us), index, workers)
        self._bodies = BodySupply(plan)
        self._head = _request_head(plan)
        self._probe = HubProbe(plan.late_limit_us)
        self._errors: Counter[str] = Counter()
        self._buffer = bytearray()
        self._file: BinaryIO | None = None
        if plan.folder:
            self._file = records_path(Path(plan.folder), index).open("wb", buffering=0)
        self._start_us = 0
        self._scheduling = NORMAL
        self._in_flight = 0
        self._closed = False

    def request(self, number: int) -> bytes:
        """The bytes of a request."""
        body = self._bodies.body(number)
        return self._head + b"%d\r\n\r\n" % len(body) + body

    def start(self, start_us: int) -> None:
        """Hand over the share from a wall clock time on."""
        self._start_us = start_us
        self._scheduling = run_when_due()
        self._probe.start()
        self.dispatcher.start(self._numbers, self._offsets_us, start_us)
        if self._file is not None:
            gevent.spawn(self._keep_flushing)

    def begin(self) -> None:
        """A sender takes a request."""
        self._in_flight += 1

    def end(self, due: DueRequest, exchange: Exchange) -> str:
        """Keep the record of a request; returns what is wrong with its answer, or an empty text."""
        self._in_flight -= 1
        answer = self.check(exchange.status, exchange.body) if exchange.status else None
        problem = answer.problem if answer is not None else exchange.error
        if problem:
            self._errors[problem if len(self._errors) < MAX_ERRORS else "others"] += 1
        times = (due.intended_us, due.free_us, exchange.ready_us, exchange.sent_us, exchange.completed_us)
        if self._file is not None and answer is not None:
            self._buffer += pack_record(due.number, times, answer.stamps, exchange.status, not problem)
        elif self._file is not None:
            self._buffer += pack_record(due.number, times, (0,) * 7, 0, False)
        return problem

    def wait_until_done(self) -> None:
        """Wait for the end of the share and for the answers, each of which ends by its timeout."""
        self.dispatcher.exhausted.wait()
        deadline_s = time.perf_counter() + self.plan.timeout_s + 5
        while self._in_flight and time.perf_counter() < deadline_s:
            gevent.sleep(POLL_S)

    def close(self, finished: bool) -> None:
        """Stop sending, and write what there is."""
        if self._closed:
            return
        self._closed = True
        self.dispatcher.stop()
        self._probe.stop()
        if self._file is None:
            return
        self._flush()
        self._file.close()
        times = os.times()
        write_outcome(
            Path(self.plan.folder),
            WorkerOutcome(
                index=self.index,
                share=len(self._numbers),
                handed_over=self.dispatcher.handed_over,
                finished=finished,
                start_us=self._start_us,
                hub_wakes=self._probe.wakes,
                hub_late=self._probe.over,
                hub_max_ms=self._probe.max_us / 1000,
                cpu_s=times.user + times.system,
                scheduling=self._scheduling,
                errors=dict(self._errors),
            ),
        )

    def _keep_flushing(self) -> None:
        while not self._closed:
            gevent.sleep(FLUSH_S)
            self._flush()

    def _flush(self) -> None:
        if self._file is not None and not self._file.closed and self._buffer:
            content, self._buffer = self._buffer, bytearray()
            self._file.write(content)


def _request_head(plan: LoadPlan) -> bytes:
    """The head of every request up to the value of Content-Length."""
    target = urlsplit(plan.url)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {target.netloc.rpartition('@')[2]}",
        "User-Agent: fraudsim-load",
        "Accept: */*",
        "Content-Type: application/json",
    ]
    token = os.environ.get("FRAUDSIM_HTTP_TOKEN")
    if token and plan.fraudsim:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\nContent-Length: ").encode()


def outcome_row(environment: Any, name: str, from_intended_ms: float, problem: str) -> None:
    """Count a request in a row of its own: a request event would count it in Locust's total as well."""
    row = environment.stats.get(name, "POST")
    row.log(from_intended_ms, 0)
    if problem:
        row.log_error(problem)
