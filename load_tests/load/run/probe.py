"""One target that is loaded at one rate after another, over HTTP or through Kafka by one rule."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.addresses import running_line
from load_tests.load.arrivals.recorded import write_bodies
from load_tests.load.autopsy.happenings import Happening, fetch_gaps, happenings_of
from load_tests.load.bill.processes import line_pids, target_pids
from load_tests.load.clocks.records import Records
from load_tests.load.generators.bodies import BodySupply
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.run.echo_check import echo_p99_ms
from load_tests.load.run.environment import environment
from load_tests.load.run.locust_process import send_by_locust
from load_tests.load.run.options import LoadOptions, make_out
from load_tests.load.run.restarts import restart_scorer
from load_tests.load.run.sent_load import SentLoad, measurement_of, nothing_sent
from load_tests.load.run.stream_check import check_stream
from load_tests.load.run.stream_process import find_line, send_stream
from load_tests.load.run.target import check_answer, find_target
from load_tests.load.verdict.measurement import Measurement
from load_tests.load.verdict.verdict import ECHO_WORDS, LoadVerdict, reach_verdict
from runner.record.costs import CostMeter

OPENED: Final = 512
"""Most connections of a worker that are opened before the start."""
ECHO_STEP: Final = 1.25
"""The self-check is repeated when the rate is this much above the highest one checked."""
Figures = dict[str, float | None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Probed:
    """What one load of a probe gave."""

    measurement: Measurement
    verdict: LoadVerdict
    costs: Mapping[str, Any]


class LoadProbe:
    """A target that was found and answers. `options.out` is the folder for the files of each load."""

    def __init__(self, options: LoadOptions, stop: threading.Event, say: Say) -> None:
        """Raises FraudsimError: the target or the folder is not usable."""
        self._say = say
        self._stop = stop
        self._opened = 0
        self._echo: tuple[float, float | None] = (0.0, None)
        """The highest rate of the self-check, and its p99."""
        self._floor_ms: Mapping[str, float | None] = {}
        """The null pipeline's latency at that rate; empty over HTTP."""
        if options.stream:
            self._settings, self._line = find_line(options.run)
            self.target = f"Kafka at {self._settings.kafka_bootstrap}"
            self._url, self._fraudsim = "", True
        else:
            assert options.url is not None
            target = find_target(options.url, options.body is not None, options.batch, options.allow_host)
            if not target.loopback:
                say(f"loading {target.host} with {options.rate:g} requests a second")
            self.target = self._url = target.url
            self._fraudsim = target.fraudsim
            options = replace(options, body=_bodies(options))
            first = options.plan(target.url, target.fraudsim)
            body = BodySupply(msgspec.structs.replace(first, run_id=f"{first.run_id}-first")).body(0)
            self._opened = OPENED if check_answer(target, body) else 0
        self.options = replace(options, body=_bodies(options), out=make_out(options.out))

    @property
    def is_ours(self) -> bool:
        """Whether the line can be restarted here."""
        return self.options.run is not None

    def restart(self) -> None:
        """Restart the scorer, if the line is ours."""
        if self.options.run is not None:
            self._say("restarting the scorer")
            restart_scorer(self.options.run)

    def plan(self, rate: float, seconds: float, seed: int) -> LoadPlan:
        """A plan at a rate, with ids of its own."""
        options = replace(self.options, rate=rate, seconds=seconds, seed=seed)
        plan = options.plan(self._url, self._fraudsim)
        return msgspec.structs.replace(plan, opened=min(self._opened, plan.connections))

    def measure(self, rate: float, seconds: float, seed: int) -> Probed:
        """Send one load; its verdict is by the options' objectives."""
        return self.conclude([self.send(rate, seconds, seed)])

    def send(self, rate: float, seconds: float, seed: int) -> tuple[SentLoad, CostMeter]:
        """Send one load; nothing where the generator does not even get through to its echo."""
        plan = self.plan(rate, seconds, seed)
        self._check_generator(plan)
        if self._echo[1] == math.inf:
            return nothing_sent(plan), CostMeter(self.pids)
        self._say(f"load: {rate:g}/s for {seconds:g} s to {self.target}")
        meter = CostMeter(self.pids)
        if self.options.stream:
            sent = send_stream(plan, self._settings, self._stop, meter.sample)
        else:
            sent = send_by_locust(plan, self.options.workers, self._stop, meter.sample)
        meter.sample(0.0)
        return sent, meter

    def conclude(self, rounds: Sequence[tuple[SentLoad, CostMeter]]) -> Probed:
        """The measurement of one or several loads at one rate; the costs are those of the last."""
        _, echo_ms = self._echo
        measurement = measurement_of(self.options.kind, [sent for sent, _ in rounds], echo_ms)
        verdict = reach_verdict(measurement, self.options.objectives)
        if not rounds:
            return Probed(measurement, verdict, {})
        sent, meter = rounds[-1]
        answered = int((sent.records["good"] == 1).sum()) * self.options.batch
        return Probed(measurement, verdict, meter.as_json(answered))

    def describe(self) -> dict[str, Any]:
        """What a report says of the target and the conditions."""
        options = self.options
        return {
            "target": self.target,
            "rate": options.rate,
            "seconds": options.seconds,
            "arrivals": options.arrivals,
            "seed": options.seed,
            "batch": options.batch,
            "rounds": options.rounds,
            "restarts": "the scorer, between rounds" if self.is_ours else "none: the line is not ours",
            "floor_ms": dict(self._floor_ms) or None,
            "environment": environment(options.kind),
        }

    def pids(self) -> Mapping[str, int | None]:
        """The processes whose cost is measured."""
        run = self.options.run
        if run is None and self.options.stream and self._line is not None:
            run = Path(self._settings.runs_dir) / "latest"
        if run is not None:
            return line_pids(run)
        return target_pids(self._url) if self._url else {}

    def happenings(self, stalls: Path, records: Records) -> list[Happening]:
        """What happened on the line, and to this machine, while these requests were under way."""
        if not len(records):
            return []
        run = self.options.run
        line = running_line(run) if run is not None else None
        window_us = int(records["intended_us"].min()), int(records["completed_us"].max())
        return fetch_gaps(records) + happenings_of(
            sorted((run / "logs").glob("*.log")) if run is not None else [],
            line.redis_url if line is not None else None,
            stalls,
            window_us,
        )

    def _check_generator(self, plan: LoadPlan) -> None:
        """Measure the generator alone, unless that was done at about this rate."""
        checked_rate, _ = self._echo
        if plan.rate <= checked_rate * ECHO_STEP:
            return
        self._say(f"self-check: the same generator against a {ECHO_WORDS[self.options.kind]}")
        if self.options.stream:
            check = check_stream(plan, self._settings, self._stop)
            self._echo, self._floor_ms = (plan.rate, check.own_p99_ms), check.floor_ms
        else:
            self._echo = (plan.rate, echo_p99_ms(plan, self.options.workers, self._stop))


def _bodies(options: LoadOptions) -> Path | None:
    """The file of bodies; that of a history's folder is written into the load's."""
    if options.body is None or not options.body.is_dir():
        return options.body
    path = make_out(options.out) / "bodies.jsonl"
    write_bodies(options.body, path)
    return path


def figures_of(probed: Probed) -> Figures:
    """What is compared of one load."""
    intervals = probed.verdict.intervals
    processes: Mapping[str, Mapping[str, float]] = probed.costs.get("processes", {})
    return {
        "p50_ms": _finite(intervals["p50"].value_ms) if "p50" in intervals else None,
        "p99_ms": _finite(intervals["p99"].value_ms) if "p99" in intervals else None,
        "cpu_us": sum(cost["cpu_us"] for cost in processes.values()) or None,
    }


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
