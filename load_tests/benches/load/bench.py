"""A line, its capacity by both ways in, bills, and comparisons that must and must not find a change.

The steps of the line are run in one life of it; if they are interrupted, the line is started anew for the
rest. Comparisons start lines of their own.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fraudsim.addresses import RunningLine
from fraudsim.errors import FraudsimError
from fraudsim.process.stop_signals import stop_on_signals
from load_tests.benches.load.kept_steps import KeptSteps, StepOutcome
from load_tests.benches.load.slowed_commit import full_id, slowed_commit
from load_tests.load.compare.command import REPOSITORY
from load_tests.load.compare.contestants import line_of
from load_tests.rig.machine import machine

WAYS: Final = ("http", "stream")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class LoadBenchPlan:
    """How much is measured."""

    commit: str = "HEAD"
    capacities: int = 2
    """By each way in."""
    step_seconds: float = 10.0
    steps: int = 24
    """Of a capacity, after the bracket, at most."""
    objective: str = "50ms"
    """Of the capacity's p99."""
    first: float = 50.0
    most: float = 20_000.0
    compares: int = 10
    """Comparisons of the commit with itself."""
    rate: float = 100.0
    """Of the comparisons."""
    compare_seconds: float = 15.0
    turns: int = 6
    pause_ms: float = 2.0


def bench_load(plan: LoadBenchPlan, out: Path, say: Say) -> dict[str, Any]:
    """Run the steps that are not done yet; returns the report.

    Raises:
        FraudsimError: a step could not start, or the bench was stopped.
    """
    stop = stop_on_signals()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FraudsimError(f"--out {out}: {error.strerror}; name another folder") from None
    commit = full_id(plan.commit, REPOSITORY)
    slowed = slowed_commit(commit, plan.pause_ms / 1000, REPOSITORY)
    steps = KeptSteps(out, stop, say)
    capacities = _capacities(plan, out, steps)
    bills = {
        name: steps.run(name.replace("capacity", "bill"), ["load", "bill", str(out / name)])
        for name, outcome in capacities.items()
        if outcome.exit_code == 0
    }
    reuse = ["--reuse", str(out / "line")] if (out / "line" / "model").exists() else []
    compares = [
        steps.run(f"compare-same-{number}", _compare(plan, commit, commit, number), *reuse)
        for number in range(1, plan.compares + 1)
    ]
    slower = steps.run("compare-slowed", _compare(plan, commit, slowed, 1), *reuse)
    return report_of(plan, capacities, bills, compares, slower)


def _capacities(plan: LoadBenchPlan, out: Path, steps: KeptSteps) -> dict[str, StepOutcome]:
    commands = {
        f"capacity-{way}-{number}": _capacity(plan, number)
        for way in WAYS
        for number in range(1, plan.capacities + 1)
    }
    kept = {name: steps.done(name, command) for name, command in commands.items()}
    if all(outcome is not None for outcome in kept.values()):
        return {name: outcome for name, outcome in kept.items() if outcome is not None}
    with _line(out) as line:
        run = out / "line"
        return {
            name: steps.run(
                name, command, "--run", str(run),
                *(["--stream"] if "stream" in name else ["--url", line.http_url]),
            )
            for name, command in commands.items()
        }  # fmt: skip


@contextmanager
def _line(out: Path) -> Iterator[RunningLine]:
    shutil.rmtree(out / "line", ignore_errors=True)
    with line_of(REPOSITORY, out / "line", None) as line:
        yield line


def _capacity(plan: LoadBenchPlan, number: int) -> list[str]:
    words = {
        "--seconds": plan.step_seconds, "--steps": plan.steps, "--fewest": min(8, plan.steps),
        "--first": plan.first, "--most": plan.most, "--p99": plan.objective, "--seed": number,
    }  # fmt: skip
    return ["load", "capacity", *_words(words)]


def _compare(plan: LoadBenchPlan, a: str, b: str, number: int) -> list[str]:
    words = {
        "--rate": plan.rate, "--seconds": plan.compare_seconds, "--turns": plan.turns, "--seed": 100 * number
    }  # fmt: skip
    return ["load", "compare", a, b, *_words(words)]


def _words(options: Mapping[str, object]) -> list[str]:
    return [word for name, value in options.items() for word in (name, str(value))]


def report_of(
    plan: LoadBenchPlan,
    capacities: Mapping[str, StepOutcome],
    bills: Mapping[str, StepOutcome],
    compares: Sequence[StepOutcome],
    slowed: StepOutcome,
) -> dict[str, Any]:
    """The report's content."""
    figures = {
        name: {key: outcome.result.get(key) for key in ("verdict", "why", "rate", "low", "high", "at_least")}
        for name, outcome in capacities.items()
    }
    words = [outcome.result.get("verdict") for outcome in compares]
    return {
        "plan": asdict(plan),
        "capacity": figures,
        "intervals_overlap": {
            way: overlap([one for name, one in figures.items() if f"-{way}-" in name]) for way in WAYS
        },
        "bill": {name: outcome.result.get("check") for name, outcome in bills.items()},
        "compare_same": {
            "words": words,
            "false_alarms": sum(word in ("worse", "better") for word in words),
            "why": [outcome.result.get("why") for outcome in compares if outcome.result.get("why")],
        },
        "compare_slowed": {
            key: slowed.result.get(key) for key in ("verdict", "why", "differences")
        } | {"exit_code": slowed.exit_code},
        "machine": machine(("locust", "aiokafka")),
    }  # fmt: skip


def overlap(capacities: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether all intervals share a rate; None where fewer than two were measured."""
    measured = [one for one in capacities if one["rate"] is not None]
    if len(measured) < 2 or len(measured) < len(capacities):
        return None
    return bool(max(one["low"] for one in measured) <= min(one["high"] for one in measured))
