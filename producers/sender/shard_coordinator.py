"""A source sent by several processes, each a shard of it, on one clock that this process starts.

A shard that dies ends them all: the clock restarts from the first record that any of them misses, so a new
start concerns all. Recovery is the same as after any kill: the supervisor starts the producer again.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Segment
from fraudsim.log.topics import LABELS
from fraudsim.log.topics import TRANSACTIONS as TRANSACTIONS_TOPIC
from fraudsim.metrics import BEHIND, HEARTBEAT, TRANSACTIONS
from fraudsim.metrics import LABELS as LABELS_SENT
from producers.outbox.outbox import SendError
from producers.sender import schedule
from producers.sender.clock_starter import DirectClockStarter
from producers.sender.send_plan import SendControl, SendReport
from producers.sender.sender import STOP_FLUSH_S
from producers.sender.shard_messages import ShardFinished, ShardingPlan, ShardReady, ShardRefused
from producers.sender.shard_process import POLL_S, run_shard
from producers.sources.source import Source

REPORT_S: Final = 1.0
STOP_S: Final = STOP_FLUSH_S + 5


def send_in_shards(
    plan: ShardingPlan,
    source: Source,
    clock: DirectClockStarter,
    control: SendControl,
) -> SendReport:
    """As `producers.sender.sender.send`, by `plan.shards` processes; returns their merged report.

    No shard process is left when this returns or raises, nor when this process is killed.

    Raises:
        FraudsimError: as `send`, or the log holds records that another number of shards sent.
        SendError: a shard died. End the process; the next start sends what is missing.
    """
    with closing(_ShardProcesses(plan)) as processes:
        return _ShardCoordinator(processes, plan, source, clock, control).run()


class _ShardProcesses:
    """The shard processes, each with a pipe; end of file on a pipe says that the other side is gone."""

    def __init__(self, plan: ShardingPlan) -> None:
        context = multiprocessing.get_context("spawn")
        self.shard_of: dict[Connection, int] = {}
        self._processes = []
        for number in range(plan.shards):
            pipe, shard_pipe = context.Pipe()
            # A daemon, so that it is ended even if an exception comes before the end of this loop.
            process = context.Process(target=run_shard, args=(shard_pipe, plan, number), daemon=True)
            process.start()
            shard_pipe.close()
            self._processes.append(process)
            self.shard_of[pipe] = number

    def broadcast(self, segment: Segment | None) -> None:
        """Give every shard the segment to send by; None stops them."""
        for pipe in self.shard_of:
            try:
                pipe.send(segment)
            except OSError:
                continue  # reading from this pipe will find its end

    def close(self) -> None:
        """Kill and join every process."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for pipe in self.shard_of:
            pipe.close()


class _ShardCoordinator:
    """Starts the clock when every shard is ready, and merges their reports until all have finished."""

    def __init__(
        self,
        processes: _ShardProcesses,
        plan: ShardingPlan,
        source: Source,
        clock: DirectClockStarter,
        control: SendControl,
    ) -> None:
        self._processes = processes
        self._plan = plan
        self._source = source
        self._clock = clock
        self._stop = control.stop
        self._on_progress = control.on_progress
        self._earlier = control.earlier
        self._ready: dict[int, ShardReady] = {}
        self._reports: dict[int, SendReport] = {}
        self._finished: set[int] = set()
        self._segments: list[Segment] = []
        self._counted: Counter[str] = Counter()
        self._behind_s = 0.0

    def run(self) -> SendReport:
        report_at = 0.0
        stop_by: float | None = None
        while len(self._finished) < self._plan.shards:
            self._receive()
            if stop_by is None and self._stop.is_set():
                stop_by = time.monotonic() + STOP_S
                self._processes.broadcast(None)
            if stop_by is not None and time.monotonic() > stop_by:
                raise SendError(f"shards did not stop within {STOP_S:g} s")
            if not self._segments and len(self._ready.keys() | self._finished) == self._plan.shards:
                self._start_clock()
            if len(self._reports) == self._plan.shards and time.monotonic() >= report_at:
                report_at = time.monotonic() + REPORT_S
                self._report()
        return self._report()

    def _receive(self) -> None:
        pipes = [pipe for pipe, number in self._processes.shard_of.items() if number not in self._finished]
        for pipe in wait(pipes, POLL_S):
            assert isinstance(pipe, Connection)
            number = self._processes.shard_of[pipe]
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                if not self._stop.is_set():
                    raise SendError(f"shard {number} of {self._plan.shards} died") from None
                self._finished.add(number)
                continue
            self._handle(number, message)

    def _handle(self, number: int, message: Any) -> None:
        match message:
            case ShardReady():
                self._ready[number] = message
            case SendReport():
                self._reports[number] = message
            case ShardFinished(report):
                self._reports[number] = report
                self._finished.add(number)
            case ShardRefused(reason):
                raise FraudsimError(reason)
            case SendError():
                raise SendError(f"shard {number} of {self._plan.shards}: {message}")

    def _start_clock(self) -> None:
        """Start one segment for all shards, from the first record that any of them misses."""
        if self._ready and not self._stop.is_set():
            has_records = any(ready.has_records for ready in self._ready.values()) or bool(self._finished)
            first_due_ms = min(ready.first_due_ms for ready in self._ready.values())
            self._segments.append(self._clock.start(first_due_ms, has_records))
            self._processes.broadcast(self._segments[-1])

    def _report(self) -> SendReport:
        report = merge_reports(
            self._source.name,
            self._plan,
            [self._reports[number] for number in sorted(self._reports)],
            self._segments,
            self._earlier,
        )
        HEARTBEAT.set_to_current_time()
        for topic, counter in ((TRANSACTIONS_TOPIC, _TRANSACTIONS_OK), (LABELS, _LABELS_OK)):
            sent_count = report.records.get(topic, 0)
            if topic in self._counted:
                counter.inc(max(0, sent_count - self._counted[topic]))
            self._counted[topic] = sent_count
        BEHIND.inc(max(0.0, report.behind_s - self._behind_s))
        self._behind_s = report.behind_s
        if self._on_progress and len(self._reports) == self._plan.shards:
            self._on_progress(report)
        return report


def merge_reports(
    source: str,
    plan: ShardingPlan,
    reports: Sequence[SendReport],
    segments: Sequence[Segment],
    earlier: SendReport | None,
) -> SendReport:
    """One report of the shards of one start, and of the earlier starts."""
    records: Counter[str] = Counter()
    delays = schedule.DelayHistogram(earlier.delay_us_counts if earlier else None)
    for report in reports:
        records.update(report.records)
        delays.merge(report.delay_us_counts)
    return SendReport(
        source=source,
        speed=plan.speed,
        seconds=plan.seconds,
        starts=1 + (earlier.starts if earlier else 0),
        complete=len(reports) == plan.shards and all(report.complete for report in reports),
        records=dict(records),
        transactions_timed=delays.counts.total(),
        late=delays.over(schedule.LATE_US),
        delay_p50_ms=delays.quantile_ms(0.5),
        delay_p99_ms=delays.quantile_ms(0.99),
        # Shards run side by side: the longest time counts, not the sum.
        behind_s=max((r.behind_s for r in reports), default=0.0) + (earlier.behind_s if earlier else 0.0),
        delay_us_counts=dict(sorted(delays.counts.items())),
        tick_ms=max((r.tick_ms for r in reports if r.tick_ms is not None), default=None),
        segments=[*(earlier.segments if earlier else ()), *segments],
    )


_TRANSACTIONS_OK = TRANSACTIONS.labels(stage="sent", outcome="ok")
_LABELS_OK = LABELS_SENT.labels(stage="sent", outcome="ok")
