"""`fraudsim bench stream`: decisions a second from Kafka to Kafka, beside other stream scorers."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from load_tests.benches.stream.checks import CHECKED, TOLERANCE
from load_tests.benches.stream.contestants import CONTESTANTS, OURS
from load_tests.benches.stream.scoring_rig import DAYS, DEADLINE_MS, SEED, WINDOW, ScoringFigures, ScoringRig
from load_tests.rig.cores import pinned, two_cores
from load_tests.rig.machine import machine
from runner.supervise.supervisor import Supervisor

PROTOCOL: Final = (
    "A synthetic world of {cards:,} cards goes on after {days} days of history, whose state is in Redis and "
    "on which the model was trained. Its transactions go to Kafka as fast as they are answered, {window:,} "
    "in flight at most; the feature worker folds them meanwhile. Contestants take turns, {pinning}; Kafka "
    "and the worker are on the driver's core too. fraudsim is the whole scorer: it accepts or rejects each "
    "record, reads features from state and unfolded log, decides by model, rules and policy, explains "
    "decisions other than approve, and writes the decision, idempotently; its deadline is {deadline:,} ms, "
    "as all cores are full (by default the stream would rather decide without state than wait for 200). The "
    "rivals read the state alone and write a score. All use our feature read, and the same XGBoost model; "
    "ours as compiled trees. Each answer is counted in its topic, and after each turn no transaction may be "
    "without one or have two; none of ours may be degraded, and {checked} of its scores must be XGBoost's "
    "own of the decision's features to {tolerance:g}. CPU is of the contestant's process, for each "
    "transaction; `per_core` is what a core would do by it alone."
)


def bench_stream(
    events: int,
    turns: int,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
    *,
    cards: int = 5_000,
) -> dict[str, Any]:
    """The report, ready for JSON, measured on a stack of its own.

    Raises:
        FraudsimError: `only` has an unknown name; a contestant does not start, or stops answering.
        InvariantError: a transaction without exactly one answer, or a score that is not the model's.
    """
    names = [contestant.name for contestant in CONTESTANTS]
    for name in only:
        if name not in names:
            raise FraudsimError(f"bench stream: --only {name}: there are {', '.join(names)}")
    contestants = [contestant for contestant in CONTESTANTS if not only or contestant.name in only]
    cores = two_cores()
    figures = {contestant.name: ScoringFigures() for contestant in contestants}
    with (
        tempfile.TemporaryDirectory() as folder,
        Supervisor(Path(folder) / "logs") as supervisor,
        pinned(cores.driver),
    ):
        rig = ScoringRig(Path(folder), supervisor, cores, cards)
        for _ in range(turns):
            for contestant in contestants:
                contestant_figures = figures[contestant.name]
                rig.run(contestant, round(events * contestant.share), contestant_figures)
                say(f"{contestant.name}: {contestant_figures.per_second[-1]:,.0f} a second")
    results = [_result(name, contestant_figures) for name, contestant_figures in figures.items()]
    value = {result["name"]: result["value"] for result in results}
    cpu = {result["name"]: result["cpu_us"] for result in results}
    rivals = [name for name in value if name != OURS.name and OURS.name in value]
    return {
        "machine": machine(("faust-streaming", "aiokafka", "xgboost", "numba")),
        "protocol": PROTOCOL.format(
            cards=cards,
            days=DAYS,
            window=WINDOW,
            pinning=cores.description,
            deadline=DEADLINE_MS,
            checked=CHECKED,
            tolerance=TOLERANCE,
        ),
        "configuration": {"events": events, "turns": turns, "seed": SEED},
        "results": results,
        "ratios": {name: round(value[OURS.name] / value[name], 2) for name in rivals},
        "cpu_ratios": {name: round(cpu[name] / cpu[OURS.name], 2) for name in rivals},
    }


def _result(name: str, figures: ScoringFigures) -> dict[str, Any]:
    """Medians over the turns."""
    cpu_us = statistics.median(figures.cpu_us)
    return {
        "name": name,
        "value": round(statistics.median(figures.per_second)),
        "unit": "transactions/s",
        "cpu_us": round(cpu_us, 1),
        "per_core": round(1e6 / cpu_us),
        "turns": [round(value) for value in figures.per_second],
        "others_core_share": round(statistics.median(figures.others), 2),
        **figures.decision_figures,
    }
