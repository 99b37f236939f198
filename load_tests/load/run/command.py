"""`fraudsim load run` from its options to its exit code."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from fraudsim.process.stop_signals import stop_on_signals
from load_tests.load.generators.bodies import BodySupply
from load_tests.load.report.files import write_report
from load_tests.load.report.result import result_of
from load_tests.load.report.text import print_result
from load_tests.load.run.environment import environment
from load_tests.load.run.http_run import measurement_of, run_http
from load_tests.load.run.options import LoadOptions, make_out
from load_tests.load.run.stream_run import find_line, run_stream
from load_tests.load.run.target import HttpTarget, check_answer, find_target
from load_tests.load.verdict.measurement import Measurement
from load_tests.load.verdict.verdict import EXIT_CODES, reach_verdict

Say = Callable[[str], None]


def run_load(options: LoadOptions, say: Say) -> int:
    """Measure, write the result, and print it; returns the exit code.

    Raises:
        FraudsimError: the target or the folder is not usable.
    """
    measure = measure_stream if options.stream else measure_http
    measurement, context = measure(options, say, stop_on_signals())
    verdict = reach_verdict(measurement, options.objectives)
    result = result_of(measurement, options.objectives, verdict, context)
    write_report(options.out.resolve(), measurement, verdict, result)
    print_result(result, verdict, say)
    say(f"written: {options.out}/result.json, {options.out}/report.html")
    return EXIT_CODES[verdict.word]


def measure_http(
    options: LoadOptions, say: Say, stop: threading.Event
) -> tuple[Measurement, Mapping[str, Any]]:
    """Check the target and load it; the measurement, and what the report says besides."""
    assert options.url is not None
    target = find_target(options.url, options.body is not None, options.batch, options.allow_host)
    if not target.loopback:
        say(f"loading {target.host} with {options.rate:g} requests a second for {options.seconds:g} s")
    plan = options.plan(target.url, target.fraudsim)
    first = BodySupply(msgspec.structs.replace(plan, run_id=f"{plan.run_id}-first")).body(0)
    check_answer(target, first)
    options = replace(options, out=make_out(options.out))
    measurement = run_http(
        options.plan(target.url, target.fraudsim), options.workers, options.rounds, stop, say
    )
    return measurement, _context(options, target)


def measure_stream(
    options: LoadOptions, say: Say, stop: threading.Event
) -> tuple[Measurement, Mapping[str, Any]]:
    """Load a running line through Kafka; the measurement, and what the report says besides."""
    settings, _ = find_line(options.run)
    options = replace(options, out=make_out(options.out))
    plan = options.plan("", fraudsim=True)
    sent_rounds = run_stream(plan, settings, options.rounds, stop, say)
    target = HttpTarget(f"Kafka at {settings.kafka_bootstrap}", True, "", True)
    return measurement_of("stream", sent_rounds, None), _context(options, target)


def _context(options: LoadOptions, target: HttpTarget) -> dict[str, Any]:
    return {
        "target": target.url,
        "rate": options.rate,
        "seconds": options.seconds,
        "arrivals": options.arrivals,
        "seed": options.seed,
        "batch": options.batch,
        "rounds": options.rounds,
        "restarts": "none: the line is not ours" if options.run is None else "the scorer, between rounds",
        "environment": environment("stream" if options.stream else "http"),
    }
