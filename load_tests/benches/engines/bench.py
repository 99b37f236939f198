"""The report of `bench engines`: written after each contestant, so an interrupted bench goes on there."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from load_tests.benches.engines.contestants import FOLDING, FRESH, Contestant
from load_tests.benches.engines.folding import KEYS_CHECKED, measure_folding
from load_tests.benches.engines.freshness import WARM_S, measure_freshness
from load_tests.benches.engines.spark_tasks import TASKS, measure_tasks
from load_tests.benches.worker.worker_rig import sender_process, start_worker_rig
from load_tests.rig.machine import machine
from producers.sources.even_source import EvenSource
from stream_features.worker.spark.connector import SPARK_VERSION

PROTOCOL: Final = (
    "Throughput: {events:,} synthetic transactions (5,000 cards, 4,000 devices, 1,000 merchants, one "
    "address) lie in the log. A contestant is started on slots that are not primed; when all its processes "
    "wait, they are primed empty, and it folds the log. Measured from the moment at which every slot has "
    "folded a quarter of them to the moment at which all has; CPU is that of its processes with their "
    "descendants between these moments, a cluster's master and workers excepted; Redis's and Kafka's are "
    "apart. At the end the states of {keys} keys equal a recomputation. Freshness: {rate:,} transactions a "
    "second, open loop; from {warm:g} s after the first batch, the age of each slot's state every 50 ms for "
    "{seconds:g} s, or two triggers where that is longer. Kafka, Redis, the sender and all processes share "
    "the machine's cores; contestants take turns in one run, or in as many as `runs` says."
)
FILL_RATE: Final = 20_000
ENDLESS: Final = 10**9
"""Transactions of a source that outlasts the measurement; the sender is stopped."""
Say = Callable[[str], None]
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class EnginesPlan:
    """How much is measured."""

    events: int = 600_000
    """Transactions to fold."""
    rate: int = 500
    """Live transactions per second."""
    seconds: float = 30.0
    """Of live traffic."""
    only: Sequence[str] = ()
    """Names, or parts of names, of the contestants; all where empty."""

    def chosen(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that are measured."""
        return [name for name in names if not self.only or any(part in name for part in self.only)]


class EnginesReport:
    """The report in its file."""

    def __init__(self, file: Path, plan: EnginesPlan, say: Say) -> None:
        """
        Raises:
            FraudsimError: there is no contestant of this name.
        """
        self._file = file
        self._say = say
        contestants = [c.name for c in (*FOLDING, *FRESH)]
        self.missing = plan.chosen([*contestants, *TASKS])
        """Names of what has to be measured."""
        if not self.missing:
            raise FraudsimError(f"--only {' '.join(plan.only)}: give a part of: {'; '.join(contestants)}")
        content = {
            "machine": machine(("faust-streaming", "aiokafka", "redis"), spark=SPARK_VERSION),
            "protocol": PROTOCOL.format(
                events=plan.events, rate=plan.rate, seconds=plan.seconds, warm=WARM_S, keys=KEYS_CHECKED
            ),
            "configuration": plan,
            "runs": 1,
            "complete": False,
            "results": [],
            "ratios": {},
        }
        self.content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content))
        self._resume()

    def _resume(self) -> None:
        try:
            before = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            return
        same = all(before.get(key) == self.content[key] for key in ("machine", "protocol", "configuration"))
        if same and before.get("complete") is False:
            self.content |= {"runs": before["runs"] + 1, "results": before["results"]}
            for result in before["results"]:
                self.missing.remove(result["name"])
                self._say(f"{result['name']}: kept")

    def add(self, result: Result) -> None:
        """A contestant is measured: write it."""
        self.missing.remove(result["name"])
        results = self.content["results"]
        results.append(result)
        self.content |= {"ratios": _ratios(results), "complete": not self.missing}
        write_whole(self._file, msgspec.json.format(msgspec.json.encode(self.content), indent=1) + b"\n")
        self._say(_line(result))


def bench_engines(file: Path, plan: EnginesPlan, say: Say) -> Mapping[str, Any]:
    """The report, measured on stacks of its own, as it stands in `file` at the end.

    What `file` holds of an interrupted bench with the same plan is not measured again.

    Raises:
        FraudsimError: there is no contestant of this name.
        InvariantError: a contestant does not get ready or does not finish, or a state is wrong.
    """
    report = EnginesReport(file, plan, say)
    for result in _results(plan, tuple(report.missing)):
        report.add(result)
    return report.content


def _results(plan: EnginesPlan, missing: Sequence[str]) -> Iterator[Result]:
    folding = [c for c in FOLDING if c.name in missing]
    tasks = set(TASKS) & set(missing)
    if folding or tasks:
        yield from (r for r in _fold_all(folding, plan, bool(tasks)) if r["name"] in missing)
    fresh = [c for c in FRESH if c.name in missing]
    if fresh:
        yield from _watch_all(fresh, plan)


def _fold_all(contestants: Sequence[Contestant], plan: EnginesPlan, with_tasks: bool) -> Iterator[Result]:
    source = EvenSource(FILL_RATE, plan.events)
    with tempfile.TemporaryDirectory() as folder, start_worker_rig(Path(folder)) as rig:
        with sender_process(rig.settings, source, 1.0) as sender:
            sender.join()
        for contestant in contestants:
            yield measure_folding(rig, contestant, Path(folder), source)
        if with_tasks:
            yield from measure_tasks(rig, rig.log_ends())


def _watch_all(contestants: Sequence[Contestant], plan: EnginesPlan) -> Iterator[Result]:
    source = EvenSource(plan.rate, ENDLESS)
    with tempfile.TemporaryDirectory() as folder, start_worker_rig(Path(folder)) as rig:
        for contestant in contestants:
            yield measure_freshness(rig, contestant, source, plan.seconds)


def _ratios(results: Sequence[Result]) -> dict[str, float]:
    """Throughput of each contestant over that of one Faust worker."""
    rates = {r["name"]: r["value"] for r in results if r["unit"] == "transactions/s"}
    one = rates.get(FOLDING[0].name)
    return {name: round(rate / one, 2) for name, rate in rates.items()} if one else {}


def _line(result: Result) -> str:
    text = f"{result['name']}: {result['value']:,} {result['unit']}"
    if "p99_ms" in result:
        text += f", {result['p99_ms']:,} at p99"
    return text + (f", {result['cpu_us']:g} µs of CPU a transaction" if "cpu_us" in result else "")
