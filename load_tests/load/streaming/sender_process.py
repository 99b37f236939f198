"""Sends a plan into Kafka by the producer's sender.

    python -m load_tests.load.streaming.sender_process PLAN

It ends when the schedule has been sent and acknowledged, or on a signal; then it writes its records.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import open_clock
from fraudsim.polling import poll_until
from fraudsim.process.stop_signals import stop_on_signals
from fraudsim.settings import Settings, load_settings
from load_tests.load.generators.outcome import WorkerOutcome, records_path, write_outcome
from load_tests.load.generators.plan import LoadPlan, read_plan
from load_tests.load.streaming.running_clock import RunningClock
from load_tests.load.streaming.scheduled_source import ScheduledSource
from load_tests.load.streaming.stamped_outbox import StampedOutbox
from load_tests.rig.scheduling import run_when_due
from producers.outbox.clients import open_outbox
from producers.outbox.outbox import SendError
from producers.sender import schedule
from producers.sender.send_plan import SendControl, SendPlan
from producers.sender.sender import SWITCH_INTERVAL_S, send

LEAD_S: Final = 4.0
"""From the start of the sender to the first intended send: it connects and fills its prefetch meanwhile."""
TICK_MS: Final = 1
CLOCK_S: Final = 10.0
"""Longest wait for the line's clock to run."""


def send_plan(plan: LoadPlan, settings: Settings) -> None:
    """Send a plan, and write records and outcome into its folder.

    Raises:
        FraudsimError: the line's clock does not run.
        SendError: Kafka did not acknowledge a record.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stop = stop_on_signals()
    clock_log = open_clock(settings, wait_s=CLOCK_S)

    def clock_runs() -> bool:
        clock_log.refresh()
        return clock_log.clock.current.speed > 0

    poll_until(clock_runs, CLOCK_S, every_s=0.2)
    segment = clock_log.clock.current
    if segment.speed <= 0:
        raise FraudsimError(
            "--stream: the line's clock stands still: it runs once its producer sends (fraudsim up, produce)"
        )
    start_ms = int((time.time() + LEAD_S) * 1000)
    source = ScheduledSource(plan, segment, start_ms)
    outboxes: list[StampedOutbox] = []

    def opener(opener_settings: Settings, topics: Sequence[str]) -> StampedOutbox:
        outboxes.append(StampedOutbox(open_outbox(opener_settings, topics), plan.topic_prefix))
        return outboxes[-1]

    scheduling = run_when_due()
    finished = False
    try:
        report = send(
            source,
            settings,
            SendPlan(speed=segment.speed, prefix=plan.topic_prefix),
            RunningClock(segment),
            SendControl(stop=stop),
            opener,
        )
        finished = report.complete
    finally:
        outbox = outboxes[0] if outboxes else None
        times = os.times()
        records_path(Path(plan.folder), 0).write_bytes(bytes(outbox.records) if outbox else b"")
        write_outcome(
            Path(plan.folder),
            WorkerOutcome(
                index=0,
                share=len(plan.schedule()),
                handed_over=outbox.handed_over if outbox else 0,
                finished=finished,
                start_us=schedule.intended_us(segment, source.start_ms),
                cpu_s=times.user + times.system,
                scheduling=scheduling,
            ),
        )


def stream_settings() -> Settings:
    """The settings of the sender: librdkafka where it is installed, and the shortest tick."""
    settings = load_settings()
    changes: dict[str, Any] = {"tick_ms": TICK_MS}
    if "sender" not in settings.model_fields_set:
        try:
            import confluent_kafka  # noqa: F401
        except ModuleNotFoundError:
            pass
        else:
            changes["sender"] = "confluent"
    return settings.model_copy(update=changes)


def main(path: str) -> int:
    """The process; returns its exit code."""
    try:
        send_plan(read_plan(Path(path)), stream_settings())
    except (FraudsimError, SendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
