"""`fraudsim bench features`: the feature worker beside other stream processors, on one filled topic."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from load_tests.benches.features.contestants import (
    CARDS,
    CONTESTANTS,
    EXTRA,
    OURS,
    ROOT,
    FeatureContestant,
    python_of,
)
from load_tests.benches.features.folding_rig import Figures, FoldingRig
from load_tests.benches.features.traffic import SEED, make_traffic
from load_tests.rig.machine import machine
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Supervisor

PROTOCOL: Final = (
    "The world's transactions, and the labels known by then, are in four partitions of a real Kafka before "
    "any contestant reads; the state is empty. Each contestant is started anew and reads from the start, in "
    "a process pinned to one core; broker and Redis are pinned to another. Time and CPU of a rival run from "
    "the first record handed to its code to the last one processed; those of the worker, seen from outside, "
    "from the assignment of its slots to the last watermark in Redis. CPU is the contestant's user and "
    "system time. A slow contestant gets only the first events (`events`). `does` states what each computes; "
    "features are those that it computes or keeps the state of. After each turn sampled cards are compared "
    "with brute force, and a difference ends the bench. Contestants take turns; medians. Ratios are of "
    "transactions/s; `cpu_ratios` of CPU, which tells more where other programs share the machine."
)
EVENTS: Final = 150_000
CARDS_OF_WORLD: Final = 10_000
TURNS: Final = 3


def bench_features(
    events: int = EVENTS,
    turns: int = TURNS,
    only: Sequence[str] = (),
    *,
    cards: int = CARDS_OF_WORLD,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """The report, ready for JSON, measured on a stack of its own.

    Args:
        say: called with each line of progress.

    Raises:
        FraudsimError: `only` has an unknown name or a rival that is not installed; a contestant failed.
        InvariantError: a contestant's results differ from brute force.
    """
    contestants = _contestants(only, say)
    traffic = make_traffic(events, cards)
    figures: dict[str, list[Figures]] = {contestant.name: [] for contestant in contestants}
    with (
        tempfile.TemporaryDirectory(prefix="fraudsim-bench-") as folder,
        Supervisor(Path(folder) / "logs") as supervisor,
    ):
        addresses = start_stack(Path(folder) / "stack", Settings(_env_file=None), supervisor)
        rig = FoldingRig(Path(folder), supervisor, addresses, traffic)
        for turn in range(turns):
            for contestant in list(contestants):
                try:
                    turn_figures = rig.run(contestant)
                except FraudsimError as error:
                    if only or contestant.entities:
                        raise
                    say(f"{error}; going on without")
                    contestants.remove(contestant)
                    continue
                figures[contestant.name].append(turn_figures)
                rate = turn_figures["value"]
                say(f"turn {turn + 1} of {turns}, {contestant.name}: {rate:,.0f} transactions/s")
    results = [_result(contestant, figures[contestant.name]) for contestant in contestants]
    return {
        "machine": machine(
            ("faust-streaming", "kafka-python", "aiokafka", "redis", "numba"), **_extra_versions()
        ),
        "protocol": PROTOCOL,
        "configuration": {
            "events": events,
            "labels": len(traffic.labels),
            "cards": len(traffic.cards()),
            "turns": turns,
            "seed": SEED,
        },
        "results": results,
        "ratios": _ratios(results, OURS.name),
        "ratios_cards_only": _ratios(results, CARDS.name),
        "cpu_ratios": _ratios(results, OURS.name, "cpu_us"),
        "cpu_ratios_cards_only": _ratios(results, CARDS.name, "cpu_us"),
    }


def _contestants(only: Sequence[str], say: Callable[[str], None]) -> list[FeatureContestant]:
    """The installed contestants that `only` names, or all."""
    unknown = sorted(set(only) - {contestant.name for contestant in CONTESTANTS})
    if unknown:
        names = ", ".join(repr(contestant.name) for contestant in CONTESTANTS)
        raise FraudsimError(f"bench features: --only {unknown[0]!r} is none of {names}")
    selected = [contestant for contestant in CONTESTANTS if not only or contestant.name in only]
    missing = [contestant for contestant in selected if not python_of(contestant).exists()]
    if missing:
        names = ", ".join(contestant.name for contestant in missing)
        line = f"bench features: {names} not installed: run `make setup-{EXTRA}`"
        if only:
            raise FraudsimError(line)
        say(f"{line}; going on without")
    return [contestant for contestant in selected if contestant not in missing]


def _result(contestant: FeatureContestant, turns: list[Figures]) -> dict[str, Any]:
    """Medians over the turns, and the rate of each turn."""
    medians = {name: round(statistics.median(turn[name] for turn in turns), 1) for name in turns[0]}
    return {
        "name": contestant.name,
        "value": medians.pop("value"),
        "unit": "transactions/s",
        "features": contestant.features,
        "does": contestant.does,
        **medians,
        "turns": [round(turn["value"], 1) for turn in turns],
    }


def _ratios(results: list[dict[str, Any]], ours: str, figure: str = "value") -> dict[str, float]:
    """Ours over each rival's; of CPU the inverse, so that more than 1 is always better for us."""
    values = {result["name"]: float(result[figure]) for result in results}
    if ours not in values:
        return {}
    rivals = values.keys() - {OURS.name, CARDS.name}
    power = 1 if figure == "value" else -1
    return {name: round((values[ours] / values[name]) ** power, 2) for name in values if name in rivals}


def _extra_versions() -> dict[str, str]:
    """Versions of the rivals in the extra's .venv, read from the names of their metadata folders."""
    versions: dict[str, str] = {}
    for name in ("quixstreams", "bytewax"):
        for folder in (ROOT / f".venv-{EXTRA}").glob(f"lib/*/site-packages/{name}-*.dist-info"):
            versions[name] = folder.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return versions
