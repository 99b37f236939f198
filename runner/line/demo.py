"""`fraudsim demo`: the whole line once, from nothing to a summary; `fraudsim up`: until Ctrl-C."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fraudsim.archive.log_files import read_log
from fraudsim.garbage_collection import freeze_gc
from fraudsim.log import topics
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.settings import Settings
from runner.line.line import Line, LineOptions
from runner.line.speed import DAY_S
from runner.record.display import Progress, console, print_summary, progress, say
from runner.record.manifest import write_manifest
from runner.record.observer import Latencies, Observer
from runner.record.summary import summarise, write_summary
from runner.supervise.foreground import unwinding_on_signals
from stream_features.parity.check import check_parity

BRUTE_FORCE: Final = 40
"""Served vectors of a demo that are computed by brute force too; all are recomputed by the kernel."""


def run_demo(options: LineOptions, settings: Settings) -> dict[str, Any]:
    """Run the line and sum it up; every process is gone when this returns.

    Raises:
        FraudsimError: something it needs is missing, or a part was given up.
    """
    with unwinding_on_signals(), Line(options, settings, say) as line:
        line.prepare()
        null_latencies = line.run_null()
        line.start_line()
        freeze_gc()
        with Observer(line.settings, topics.DECISIONS) as observer:
            seconds = _live(line, observer, options.seconds)
            say("draining: every decision read back, every record folded and archived")
            line.drain(observer.tally)
        summary = sum_up(line, seconds, observer.tally.latencies, null_latencies)
    print_summary(summary)
    console.print(f"summary: {_short(line.run_dir)}/summary.json   log: {_short(line.run_dir)}/log")
    return summary


def _live(line: Line, observer: Observer, seconds: float | None) -> float:
    """Live traffic to its end, or to a signal; returns its wall seconds."""
    started = time.monotonic()
    _say_traffic(line)
    with stopped_by_signals() as stop:
        line.start_producer()
        with progress(observer.tally, seconds) as shown:
            _follow(line, stop, shown)
    return time.monotonic() - started


def _say_traffic(line: Line) -> None:
    manifest, rate = line.history.manifest, line.options.rate
    if line.options.replay is not None:
        rate = manifest.transactions_per_day * line.speed / DAY_S
    say(
        f"live: {manifest.cards:,} cards, about {rate:,.0f} tx/s, {line.speed:,.0f} event s per s; "
        f"HTTP on 127.0.0.1:{line.settings.http_port}"
    )


def _follow(line: Line, stop: threading.Event, shown: Progress) -> None:
    """Until the producer is done, or a signal."""

    def over() -> bool:
        shown.show(sum(line.supervisor.restarts.values()))
        return stop.is_set() or line.done("producer")

    line.wait_for("the producer", over, timeout_s=float("inf"))
    line.supervisor.stop("producer")


def sum_up(
    line: Line,
    seconds: float,
    latencies: Latencies,
    null_latencies: Latencies,
    brute_force: int = BRUTE_FORCE,
) -> dict[str, Any]:
    """Close the line, then count, measure and check what its log holds; writes manifest and summary."""
    run_dir, settings = line.run_dir, line.settings
    clock_log = ClockLog(settings.kafka_bootstrap, Clock())
    clock_log.refresh()
    write_manifest(run_dir, line.history, clock_log.clock, settings, line.options)
    restarts = line.supervisor.restarts
    line.supervisor.close()
    model = json.loads((run_dir / "model" / "manifest.json").read_text())
    summary = summarise(
        run_dir,
        planned=line.planned(),
        seconds=seconds,
        speed=line.speed,
        latencies=latencies,
        null_latencies=null_latencies,
        restarts={name: n for name, n in restarts.items() if n},
        model_version=model["version"],
    )
    decisions = read_log(run_dir, topics.DECISIONS, ["offset"]).num_rows
    say(f"parity: recomputing {decisions:,} served vectors from the archived log")
    result = check_parity(run_dir, run_dir / "history", settings, brute_force)
    summary["parity"] = {
        name: getattr(result, name)
        for name in (
            "vectors",
            "features",
            "mismatches",
            "degraded",
            "uncertain",
            "missing_pending",
            "by_brute_force",
        )
    }
    write_summary(run_dir, summary)
    return summary


def _short(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def run_up(options: LineOptions, settings: Settings) -> None:
    """Keep the line running until Ctrl-C or SIGTERM, then stop it in order."""
    with unwinding_on_signals(), Line(options, settings, say) as line:
        line.prepare()
        line.start_line()
        with Observer(line.settings, topics.DECISIONS) as observer:
            _live(line, observer, None)
            say("stopping")
            line.drain(observer.tally)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second one ends the process at once."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def asked(number: int, _: Any) -> None:
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, asked)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
