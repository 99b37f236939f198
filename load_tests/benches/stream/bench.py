"""`fraudsim bench stream`: decisions a second from Kafka to Kafka, beside who else scores a stream."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from load_tests.benches.stream.checks import CHECKED, TOLERANCE
from load_tests.benches.stream.contestants import CONTESTANTS, OURS
from load_tests.benches.stream.scoring_rig import DAYS, DEADLINE_MS, SEED, WINDOW, Arena, Measured
from load_tests.rig.cores import pinned, two_cores
from load_tests.rig.machine import machine
from runner.supervise.supervisor import Supervisor

PROTOCOL: Final = (
    "A made world of {cards:,} cards goes on after {days} days of history, whose state is in Redis and of "
    "which the model was trained. Its transactions go to Kafka as fast as they are answered, {window:,} "
    "under way at most; the feature worker folds them meanwhile. Contestants take turns, {pinning}; Kafka "
    "and the worker are on the driver's core too. fraudsim is the whole scorer: it judges each record, reads "
    "features of state and unfolded tail, decides by model, rules and policy, explains what it does not "
    "approve, and writes the decision, idempotently; its deadline is {deadline:,} ms, as all cores are full "
    "(by default the stream would rather decide without state than wait for 200). The rivals read the state "
    "alone and write a score. All use our feature read, and the same XGBoost model; ours as compiled trees. "
    "Each answer is counted in its topic, and after each turn no transaction may be without one or have two; "
    "none of ours may be degraded, and {checked} of its scores must be XGBoost's own of the decision's "
    "features to {tolerance:g}. CPU is of the contestant's process, for each transaction; `per_core` is what "
    "a core would do by it alone."
)


def bench_stream(
    events: int,
    turns: int,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
    *,
    cards: int = 5_000,
) -> dict[str, Any]:
    """The whole report, ready for JSON, on a stack that is started for it.

    Raises:
        FraudsimError: `only` names nobody; a contestant cannot be started, or does not get on.
        InvariantError: one left out a transaction or scored one otherwise than the model.
    """
    names = [each.name for each in CONTESTANTS]
    for name in only:
        if name not in names:
            raise FraudsimError(f"bench stream: --only {name}: there are {', '.join(names)}")
    chosen = [each for each in CONTESTANTS if not only or each.name in only]
    cores = two_cores()
    measured = {each.name: Measured() for each in chosen}
    with (
        tempfile.TemporaryDirectory() as folder,
        Supervisor(Path(folder) / "logs") as supervisor,
        pinned(cores.driver),
    ):
        arena = Arena(Path(folder), supervisor, cores, cards)
        for _ in range(turns):
            for each in chosen:
                arena.run(each, round(events * each.share), measured[each.name])
                say(f"{each.name}: {measured[each.name].per_second[-1]:,.0f} a second")
        arena.close()
    results = [_result(name, its) for name, its in measured.items()]
    value = {each["name"]: each["value"] for each in results}
    cpu = {each["name"]: each["cpu_us"] for each in results}
    rivals = [name for name in value if name != OURS.name and OURS.name in value]
    return {
        "machine": machine(("faust-streaming", "aiokafka", "xgboost", "numba")),
        "protocol": PROTOCOL.format(
            cards=cards,
            days=DAYS,
            window=WINDOW,
            pinning=cores.said,
            deadline=DEADLINE_MS,
            checked=CHECKED,
            tolerance=TOLERANCE,
        ),
        "configuration": {"events": events, "turns": turns, "seed": SEED},
        "results": results,
        "ratios": {name: round(value[OURS.name] / value[name], 2) for name in rivals},
        "cpu_ratios": {name: round(cpu[name] / cpu[OURS.name], 2) for name in rivals},
    }


def _result(name: str, its: Measured) -> dict[str, Any]:
    """Medians over the turns."""
    cpu_us = statistics.median(its.cpu_us)
    return {
        "name": name,
        "value": round(statistics.median(its.per_second)),
        "unit": "transactions/s",
        "cpu_us": round(cpu_us, 1),
        "per_core": round(1e6 / cpu_us),
        "turns": [round(value) for value in its.per_second],
        "others_core_share": round(statistics.median(its.others), 2),
        **its.of_ours,
    }
