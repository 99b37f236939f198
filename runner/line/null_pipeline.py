"""The null pipeline: the latency that Kafka and this machine alone cost."""

from fraudsim.log import topics
from fraudsim.log.clock_log import start_log
from runner.line.line import Line
from runner.line.parts import READY_S
from runner.line.run_end import await_last_decisions
from runner.record.latencies import Latencies
from runner.record.observer import Observer


def run_null_pipeline(line: Line) -> Latencies:
    """Measure the same schedule and sender through a bare relay on the same broker."""
    seconds = line.options.null_seconds
    if line.options.seconds is not None:
        seconds = min(seconds, line.options.seconds)
    if seconds <= 0:
        return Latencies()
    line.say(f"null pipeline: {seconds:g} s of the same schedule through a bare relay")
    topics.create_topics(line.settings, topics.NULL)
    manifest = line.history.manifest
    start_log(line.settings, manifest.end_ms, line.speed, "", "", topics.NULL + topics.CLOCK)
    with Observer(line.settings, topics.NULL + topics.DECISIONS) as observer:
        line.start_part("relay", "relay")
        argv = line.run.stream("produce", "null-producer.json", seconds, "--null", line.run.labels_flag())
        line.start_part("null-producer", *argv, finishes=True)
        line.wait_for("the null producer", lambda: line.done("null-producer"), seconds + READY_S)
        await_last_decisions(observer.tally, line.planned("null-producer.json"))
        line.supervisor.stop("relay")
    return observer.tally.latencies
