"""A source sent by several processes, each a shard of it, on one clock that this process starts.

A shard that dies ends them all: the clock goes on from the first record that is missing in any of them, so a
new start concerns all. It is the way back that every kill takes, and the supervisor walks it.
"""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog, open_clock
from fraudsim.log.events import Segment
from fraudsim.log.topics import CLOCK, LABELS
from fraudsim.log.topics import TRANSACTIONS as TRANSACTIONS_TOPIC
from fraudsim.logs import set_up_logs
from fraudsim.metrics import BEHIND, HEARTBEAT, TRANSACTIONS
from fraudsim.metrics import LABELS as LABELS_SENT
from fraudsim.settings import Settings
from producers.sender import schedule
from producers.sender.clock_start import OwnClock
from producers.sender.outbox import SendError
from producers.sender.sender import STOP_FLUSH_S, SWITCH_S, SendReport, send
from producers.sender.shard import Shard
from producers.sources.source import Source

LOOK_S: Final = 0.2
REPORT_S: Final = 1.0
STOP_S: Final = STOP_FLUSH_S + 5

MakeSource = Callable[[Clock], Source]
"""Made anew in every process: it must be picklable, the source need not be."""


@dataclass(frozen=True)
class Task:
    """What every shard is told."""

    make_source: MakeSource
    settings: Settings
    shards: int
    speed: float
    seconds: float | None
    prefix: str


@dataclass(frozen=True)
class _Ready:
    """A shard knows what it is to send first."""

    first_due_ms: int
    anything_there: bool


@dataclass(frozen=True)
class _Refused:
    """What `send` raised for people to read."""

    message: str


@dataclass(frozen=True)
class _Over:
    """The shard has ended well."""

    report: SendReport


def send_in_shards(
    task: Task,
    source: Source,
    *,
    clock_log: ClockLog,
    stop: threading.Event,
    on_progress: Callable[[SendReport], None] | None = None,
    earlier: SendReport | None = None,
) -> SendReport:
    """`producers.sender.sender.send`, by `task.shards` processes; returns their merged report.

    None of them is left when this returns or raises, nor when this process is killed.

    Raises:
        FraudsimError: as `send`, or the log holds records that another number of shards sent.
        SendError: a shard died. End the process; the next start mends it.
    """
    with closing(_Crew(task)) as crew:
        return _Conductor(crew, task, source, clock_log, stop, on_progress, earlier).go()


class _Crew:
    """The processes, each with a pipe of its own, whose end says that the other side is gone."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: dict[Connection, int] = {}
        self._processes = []
        for number in range(task.shards):
            ours, theirs = context.Pipe()
            # A daemon, so that it is ended even where an exception comes before the end of this loop.
            process = context.Process(target=_shard, args=(theirs, task, number), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self.pipes[ours] = number

    def tell(self, what: Segment | None) -> None:
        """The segment to follow; None stops them."""
        for pipe in self.pipes:
            try:
                pipe.send(what)
            except OSError:
                continue  # its end is met when it is read from

    def close(self) -> None:
        """End every process, whatever it is at."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for pipe in self.pipes:
            pipe.close()


class _Conductor:
    """Starts the clock when every shard is ready, and follows them to their end."""

    def __init__(
        self,
        crew: _Crew,
        task: Task,
        source: Source,
        clock_log: ClockLog,
        stop: threading.Event,
        on_progress: Callable[[SendReport], None] | None,
        earlier: SendReport | None,
    ) -> None:
        self._crew = crew
        self._task = task
        self._source = source
        self._clock = OwnClock(clock_log, source.name, source.start_ms, task.speed)
        self._stop = stop
        self._on_progress = on_progress
        self._earlier = earlier
        self._ready: dict[int, _Ready] = {}
        self._reports: dict[int, SendReport] = {}
        self._over: set[int] = set()
        self._segments: list[Segment] = []
        self._counted: Counter[str] = Counter()
        self._behind_s = 0.0

    def go(self) -> SendReport:
        report_at = 0.0
        stop_by: float | None = None
        while len(self._over) < self._task.shards:
            self._take_in()
            if stop_by is None and self._stop.is_set():
                stop_by = time.monotonic() + STOP_S
                self._crew.tell(None)
            if stop_by is not None and time.monotonic() > stop_by:
                raise SendError(f"shards did not stop within {STOP_S:g} s")
            if not self._segments and len(self._ready.keys() | self._over) == self._task.shards:
                self._start()
            if len(self._reports) == self._task.shards and time.monotonic() >= report_at:
                report_at = time.monotonic() + REPORT_S
                self._report()
        return self._report()

    def _take_in(self) -> None:
        pipes = [pipe for pipe, number in self._crew.pipes.items() if number not in self._over]
        for pipe in wait(pipes, LOOK_S):
            assert isinstance(pipe, Connection)
            number = self._crew.pipes[pipe]
            try:
                said = pipe.recv()
            except (EOFError, OSError):
                if not self._stop.is_set():
                    raise SendError(f"shard {number} of {self._task.shards} died") from None
                self._over.add(number)
                continue
            self._hear(number, said)

    def _hear(self, number: int, said: Any) -> None:
        match said:
            case _Ready():
                self._ready[number] = said
            case SendReport():
                self._reports[number] = said
            case _Over(report):
                self._reports[number] = report
                self._over.add(number)
            case _Refused(message):
                raise FraudsimError(message)
            case SendError():
                raise SendError(f"shard {number} of {self._task.shards}: {said}")

    def _start(self) -> None:
        """One segment for all, from the first record that any of them lacks."""
        if self._ready and not self._stop.is_set():
            there = any(ready.anything_there for ready in self._ready.values()) or bool(self._over)
            first_ms = min(ready.first_due_ms for ready in self._ready.values())
            self._segments.append(self._clock.start(first_ms, there))
            self._crew.tell(self._segments[-1])

    def _report(self) -> SendReport:
        report = merged(
            self._source.name,
            self._task,
            [self._reports[n] for n in sorted(self._reports)],
            self._segments,
            self._earlier,
        )
        HEARTBEAT.set_to_current_time()
        for topic, sent in ((TRANSACTIONS_TOPIC, _TRANSACTIONS_OK), (LABELS, _LABELS_OK)):
            now = report.records.get(topic, 0)
            if topic in self._counted:
                sent.inc(max(0, now - self._counted[topic]))
            self._counted[topic] = now
        BEHIND.inc(max(0.0, report.behind_s - self._behind_s))
        self._behind_s = report.behind_s
        if self._on_progress and len(self._reports) == self._task.shards:
            self._on_progress(report)
        return report


def merged(
    source: str,
    task: Task,
    reports: Sequence[SendReport],
    segments: Sequence[Segment],
    earlier: SendReport | None,
) -> SendReport:
    """What the shards of one start did together, and the earlier starts with them."""
    records: Counter[str] = Counter()
    delays = schedule.Delays(earlier.delay_us_counts if earlier else None)
    for report in reports:
        records.update(report.records)
        delays.take_in(report.delay_us_counts)
    return SendReport(
        source=source,
        speed=task.speed,
        seconds=task.seconds,
        starts=1 + (earlier.starts if earlier else 0),
        complete=len(reports) == task.shards and all(report.complete for report in reports),
        records=dict(records),
        transactions_timed=delays.counts.total(),
        late=delays.over(schedule.LATE_US),
        delay_p50_ms=delays.quantile_ms(0.5),
        delay_p99_ms=delays.quantile_ms(0.99),
        # They go side by side: the longest, not the sum.
        behind_s=max((r.behind_s for r in reports), default=0.0) + (earlier.behind_s if earlier else 0.0),
        delay_us_counts=dict(sorted(delays.counts.items())),
        segments=[*(earlier.segments if earlier else ()), *segments],
    )


_TRANSACTIONS_OK = TRANSACTIONS.labels(stage="sent", outcome="ok")
_LABELS_OK = LABELS_SENT.labels(stage="sent", outcome="ok")


# In a shard's process


def _shard(pipe: Connection, task: Task, number: int) -> None:
    """Send one shard. Signals are the parent's business: a Ctrl-C reaches every process of the terminal."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_S)
    set_up_logs(task.settings, f"producer-{number}")
    parent = _Parent(pipe)
    end: _Over | _Refused | SendError
    try:
        clock_log = open_clock(task.settings, topic=task.prefix + CLOCK)
        report = send(
            Shard(task.make_source(clock_log.clock), number, task.shards),
            task.settings,
            speed=task.speed,
            seconds=task.seconds,
            clock_log=clock_log,
            stop=parent.stop,
            on_progress=pipe.send,
            prefix=task.prefix,
            clock=parent,
        )
        end = _Over(report)
    except FraudsimError as error:
        end = _Refused(str(error))
    except SendError as error:
        end = SendError(str(error))
    pipe.send(end)


class _Parent:
    """What a shard hears from its parent; a `producers.sender.clock_start.ClockStart`."""

    def __init__(self, pipe: Connection) -> None:
        self.stop = threading.Event()
        self._pipe = pipe
        self._segments: queue.Queue[Segment] = queue.Queue()
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                said = self._pipe.recv()
            except (EOFError, OSError):
                os._exit(1)  # the parent is gone, killed perhaps; the next start finds what is missing
            if said is None:
                self.stop.set()
            else:
                self._segments.put(said)

    def start(self, first_due_ms: int, anything_there: bool) -> Segment | None:
        self._pipe.send(_Ready(first_due_ms, anything_there))
        while not self.stop.is_set():
            try:
                return self._segments.get(timeout=LOOK_S)
            except queue.Empty:
                continue
        return None

    def go_on(self, event_ms: int) -> Segment:
        raise SendError(f"fell {schedule.SLEPT_US // 1_000_000} s behind, and all shards share one clock")
