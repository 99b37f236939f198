"""The process that sends one shard of a source, on the clock of its coordinator."""

import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import open_clock
from fraudsim.log.events import Segment
from fraudsim.log.topics import CLOCK
from fraudsim.process.logs import set_up_logs
from producers.outbox.outbox import SendError
from producers.sender import schedule
from producers.sender.send_plan import SendControl, SendPlan
from producers.sender.sender import SWITCH_INTERVAL_S, send
from producers.sender.shard import Shard
from producers.sender.shard_messages import ShardFinished, ShardingPlan, ShardReady, ShardRefused

POLL_S: Final = 0.2


def run_shard(pipe: Connection, plan: ShardingPlan, number: int) -> None:
    """Send one shard, and tell the coordinator how it ended.

    Signals are ignored: Ctrl-C reaches every process of the terminal, and the coordinator handles it.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    set_up_logs(plan.settings, f"producer-{number}")
    coordinator = _CoordinatorLink(pipe)
    outcome: ShardFinished | ShardRefused | SendError
    try:
        clock_log = open_clock(plan.settings, topic=plan.prefix + CLOCK)
        report = send(
            Shard(plan.make_source(clock_log.clock), number, plan.shards),
            plan.settings,
            SendPlan(speed=plan.speed, seconds=plan.seconds, prefix=plan.prefix, processes=plan.shards),
            coordinator,
            SendControl(stop=coordinator.stop, on_progress=pipe.send),
        )
        outcome = ShardFinished(report)
    except FraudsimError as error:
        outcome = ShardRefused(str(error))
    except SendError as error:
        outcome = SendError(str(error))
    pipe.send(outcome)


class _CoordinatorLink:
    """The shard's end of the pipe; a `producers.sender.clock_starter.ClockStarter`."""

    def __init__(self, pipe: Connection) -> None:
        self.stop = threading.Event()
        self._pipe = pipe
        self._started = False
        self._segments: queue.Queue[Segment] = queue.Queue()
        threading.Thread(target=self._listen, name="coordinator", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                segment = self._pipe.recv()
            except (EOFError, OSError):
                os._exit(1)  # the coordinator is gone; the next start finds what is missing
            if segment is None:
                self.stop.set()
            else:
                self._segments.put(segment)

    def start(self, first_due_ms: int, has_records: bool) -> Segment | None:
        if self._started:
            raise SendError(f"fell {schedule.SLEPT_US // 1_000_000} s behind, and all shards share one clock")
        self._started = True
        self._pipe.send(ShardReady(first_due_ms, has_records))
        while not self.stop.is_set():
            try:
                return self._segments.get(timeout=POLL_S)
            except queue.Empty:
                continue
        return None

    def restart(self, event_ms: int) -> Segment:
        raise SendError("the wall clock jumped, and all shards share one clock")

    def change_speed(self, share: float, first_due_ms: int) -> Segment:
        raise SendError("all shards share one clock, so none changes its speed")
