"""`fraudsim demo`: the whole line once, with a summary. `fraudsim up`: the line until Ctrl-C."""

import threading
import time
from pathlib import Path
from typing import Any

from fraudsim.addresses import http_url
from fraudsim.log import topics
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings
from runner.line.line import Line
from runner.line.null_pipeline import run_null_pipeline
from runner.line.options import LineOptions
from runner.line.run_end import close_and_summarise, drain
from runner.line.speed import DAY_S
from runner.record.costs import CostMeter
from runner.record.display import LiveFigures, console, live_figures, print_summary, say
from runner.record.observer import Observer
from runner.supervise.foreground import StopSignals, raise_on_signals


def run_demo(options: LineOptions, settings: Settings) -> dict[str, Any]:
    """Run the line and return the content of `summary.json`; all processes have ended by then.

    Raises:
        FraudsimError: a program, file or port is missing, or a part was given up.
    """
    with raise_on_signals() as signals, Line(options, settings, say) as line:
        line.prepare()
        null_latencies = run_null_pipeline(line)
        line.start_line()
        freeze_gc()
        with Observer(line.settings, topics.DECISIONS) as observer:
            meter = CostMeter(line.pids)
            seconds = _run_traffic(line, observer, options.seconds, signals, meter)
            say("draining: every decision read back, every record folded and archived")
            drain(line, observer.tally)
        costs = meter.as_json(line.planned())
        summary = close_and_summarise(line, seconds, observer.tally.latencies, null_latencies, costs=costs)
    print_summary(summary)
    console.print(f"summary: {_short(line.run_dir)}/summary.json   log: {_short(line.run_dir)}/log")
    return summary


def _run_traffic(
    line: Line,
    observer: Observer,
    seconds: float | None,
    signals: StopSignals,
    meter: CostMeter | None = None,
) -> float:
    """Send live traffic to its end, or to a signal; returns its wall seconds."""
    started_s = time.monotonic()
    _say_traffic(line)
    with signals.set_event() as stop:
        line.start_producer()
        with live_figures(observer.tally, seconds, line.speed) as figures:
            _await_producer(line, stop, figures, meter)
    return time.monotonic() - started_s


def _say_traffic(line: Line) -> None:
    manifest, rate = line.history.manifest, line.options.rate
    if line.options.replay is not None:
        rate = manifest.transactions_per_day * line.speed / DAY_S
    say(
        f"live: {manifest.cards:,} cards, about {rate:,.0f} tx/s, {line.speed:,.0f} event s per s; "
        f"HTTP on {http_url(line.settings.http_host, line.settings.http_port).removeprefix('http://')}"
    )


def _await_producer(line: Line, stop: threading.Event, figures: LiveFigures, meter: CostMeter | None) -> None:
    """Show live figures, and sample costs, until the producer is done or `stop` is set."""

    def traffic_ended() -> bool:
        if meter is not None:
            meter.sample()
        figures.show(sum(line.supervisor.restarts.values()))
        return stop.is_set() or line.done("producer")

    line.wait_for("the producer", traffic_ended, timeout_s=float("inf"))
    line.supervisor.stop("producer")


def _short(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def run_up(options: LineOptions, settings: Settings) -> None:
    """Keep the line running until SIGINT or SIGTERM, then drain it and end its processes in order."""
    with raise_on_signals() as signals, Line(options, settings, say) as line:
        line.prepare()
        line.start_line()
        with Observer(line.settings, topics.DECISIONS) as observer:
            _run_traffic(line, observer, None, signals)
            say("stopping")
            drain(line, observer.tally)
