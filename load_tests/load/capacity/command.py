"""`fraudsim load capacity` from its options to its exit code."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.process.stop_signals import stop_on_signals
from fraudsim.whole_files import write_whole
from load_tests.load.capacity.page import capacity_page
from load_tests.load.capacity.search import (
    OVERLOAD,
    CapacitySearch,
    CapacityStep,
    SearchLimits,
    SearchOutcome,
)
from load_tests.load.capacity.trend import unstable
from load_tests.load.report.result import FORMAT, RESULT_FILE
from load_tests.load.run.options import LoadOptions
from load_tests.load.run.probe import LoadProbe, Probed
from load_tests.load.verdict.intervals import fewest_requests

OVERLOAD_S: Final = 3.0
RESTART_EVERY: Final = 4
"""Steps after which the scorer is restarted, where the line is ours."""
MARGIN: Final = 1.2
"""Of the requests that a step needs: a Poisson process may give fewer than its rate."""
Say = Callable[[str], None]


@dataclass
class StepLoader:
    """Loads a probe at the rates that a search asks for."""

    probe: LoadProbe
    seconds: float
    say: Say
    stop: threading.Event
    reports: list[dict[str, Any]] = field(default_factory=list)
    """Figures of each load, also of those that were repeated."""

    def attempt(self, rate: float, from_above: bool) -> CapacityStep:
        """Load at a rate; before it, if asked, overload for some seconds."""
        number = len(self.reports)
        if number and number % RESTART_EVERY == 0:
            self.probe.restart()
        if from_above:
            overload = round(rate * OVERLOAD, 1)
            self.say(f"overload: {overload:g}/s for {OVERLOAD_S:g} s, to see whether it recovers")
            self.probe.send(overload, OVERLOAD_S, 1_000 + number)
        probed = self.probe.measure(rate, self._step_s(rate), number + 1)
        step = self._step(rate, from_above, probed)
        self.say(f"{rate:g}/s: {step.word}, {step.why}")
        self.reports.append(_report(step, probed))
        return step

    def _step_s(self, rate: float) -> float:
        """The length of a step: long enough for the requests that its quantile needs."""
        q = self.probe.options.objectives.highest_quantile or 0.5
        return max(self.seconds, MARGIN * fewest_requests(q) / rate)

    def _step(self, rate: float, from_above: bool, probed: Probed) -> CapacityStep:
        verdict, records = probed.verdict, probed.measurement.records
        objective_ms = self.probe.options.objectives.tightest_ms
        growth = unstable(records, verdict.lateness, objective_ms) if objective_ms is not None else ""
        if verdict.word == "met" and growth:
            return CapacityStep(rate, "missed", growth, from_above)
        if verdict.word == "measured":
            raise FraudsimError("capacity needs an objective: name one, such as --p99 50ms")
        return CapacityStep(rate, verdict.word, verdict.why, from_above)


def _report(step: CapacityStep, probed: Probed) -> dict[str, Any]:
    measurement, intervals = probed.measurement, probed.verdict.intervals
    return {
        "rate": step.rate,
        "verdict": step.word,
        "why": step.why,
        "from_above": step.from_above,
        "sent": len(measurement.records),
        "answered": len(measurement.good),
        "p50_ms": _finite(intervals["p50"].value_ms) if "p50" in intervals else None,
        "p99_ms": _finite(intervals["p99"].value_ms) if "p99" in intervals else None,
        "costs": probed.costs,
    }


def _finite(value: float) -> float | None:
    return round(value, 3) if value < float("inf") else None


def run_capacity(options: LoadOptions, limits: SearchLimits, say: Say) -> int:
    """Search, write the result, and print it; returns the exit code: 0, or 3 where no capacity can be named.

    Raises:
        FraudsimError: there is no objective, or the target or the folder is not usable.
    """
    if not options.objectives.latency_ms:
        raise FraudsimError("capacity needs an objective for the latency: name one, such as --p99 50ms")
    stop = stop_on_signals()
    probe = LoadProbe(options, stop, say)
    loader = StepLoader(probe, options.seconds, say, stop)
    search = CapacitySearch(loader.attempt, limits, random.Random(options.seed), stop.is_set)
    outcome = search.run()
    result = capacity_result(probe, loader, outcome, stop.is_set())
    write_whole(
        probe.options.out / RESULT_FILE, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
    )
    write_whole(probe.options.out / "report.html", capacity_page(result))
    if outcome.estimate is None:
        at_least = f"; at least {outcome.at_least:g}/s" if outcome.at_least is not None else ""
        say(f"not measured: {outcome.why}{at_least}")
        return 3
    estimate = outcome.estimate
    say(f"capacity: {estimate.rate:,.0f}/s, 95 % from {estimate.low:,.0f} to {estimate.high:,.0f}")
    return 0


def capacity_result(
    probe: LoadProbe, loader: StepLoader, outcome: SearchOutcome, partial: bool
) -> Mapping[str, Any]:
    """The content of the result's file."""
    estimate = outcome.estimate
    return {
        "format": FORMAT,
        "kind": "capacity",
        "verdict": "measured" if estimate is not None else "not measured",
        "why": outcome.why or "the rate at which half of the steps meet the objective",
        "partial": partial,
        "rate": None if estimate is None else round(estimate.rate, 1),
        "low": None if estimate is None else round(estimate.low, 1),
        "high": None if estimate is None else round(estimate.high, 1),
        "at_least": outcome.at_least,
        "objectives": probe.options.objectives.as_json(),
        "steps": loader.reports,
        "conditions": probe.describe(),
    }
