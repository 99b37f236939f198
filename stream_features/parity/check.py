"""The parity check: recomputes every served vector from the history and the log prefix its decision names.

It shares no state and no I/O with worker, reader and unfolded log: it reads the archived log, accepts or
rejects its records anew, and folds what each decision names on top of the history. Samples are computed again
by DuckDB, which shares no kernel either, and by brute force.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Doubles, Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import LogPrefix
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from stream_features.catalogue.features import FEATURES, HASH, NAMES
from stream_features.offline.archived_log import first_decisions
from stream_features.offline.history_tables import read_history_tables
from stream_features.parity.brute_force import BruteForce
from stream_features.parity.lagged_replay import lagged_vectors
from stream_features.parity.log_events import HistoryTables, LogEvents, ServedDecision
from stream_features.parity.replay import Replay
from stream_features.parity.sample import heat, weighted_sample, weights
from stream_features.parity.staleness import fresh_vectors, staleness_effect
from stream_features.store.prime import StateTable, state_of_history

SIMULATION_FILE: Final = "simulation.json"
"""In a simulated run's folder: its regime, and whether log prefixes express its vectors."""
EXAMPLES: Final = 3
"""Examples kept of each feature, by each engine."""
DERIVED: Final = ("mean", "std", "speed", "ratio_to_mean", "fraud_rate")
"""Aggregates that engines may round differently."""
_EXACT: Final = np.array([feature.aggregate not in DERIVED for feature in FEATURES])

_decode_prefix = msgspec.json.Decoder(LogPrefix).decode


@dataclass(frozen=True)
class ParityPlan:
    """What a check does beside the replay of every vector."""

    brute_force: int = 200
    """How many vectors are also computed by brute force, chosen at random."""
    sample: int = 0
    """How many are also computed by DuckDB; hot and stale decisions are chosen more often."""
    seed: int = 1
    """Of both samples."""
    staleness: bool = False
    """Whether to compare with the vectors over everything before `now`, too."""


@dataclass(frozen=True)
class _ServedVectors:
    """The vectors to compare, in the order of their decisions; and how many are left out."""

    decisions: list[ServedDecision]
    vectors: Floats
    staleness_ms: Doubles
    stale: Flags
    degraded: int
    uncertain: int
    missing_pending: int


@dataclass
class ParityResult:
    """The result of a check; `fraudsim features parity --json` writes it."""

    vectors: int = 0
    features: int = len(NAMES)
    mismatches: int = 0
    """Feature values that differ; one that differs from three engines counts three times."""
    uncertain: int = 0
    """Decisions marked uncertain when they were made; not compared."""
    degraded: int = 0
    """Decisions made without state; not compared."""
    missing_pending: int = 0
    """Decisions that counted an in-flight transaction which never reached the log; not compared."""
    by_brute_force: int = 0
    by_duckdb: int = 0
    by_feature: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By feature: `tx_id`, `engine`, and the value `served` and `recomputed`."""
    staleness_effect: dict[str, dict[str, float]] = field(default_factory=dict)
    """By feature, as from `staleness.staleness_effect`; empty where it was not computed."""

    def add_mismatch(self, engine: str, tx_id: str, name: str, served: float, expected: float) -> None:
        self.mismatches += 1
        self.by_feature[name] = self.by_feature.get(name, 0) + 1
        examples = self.examples.setdefault(name, [])
        if sum(example["engine"] == engine for example in examples) < EXAMPLES:
            examples.append(
                {"tx_id": tx_id, "engine": engine, "served": _number(served), "recomputed": _number(expected)}
            )

    def compare(
        self, engine: str, served: _ServedVectors, indices: Ints, recomputed: Floats | Doubles
    ) -> None:
        """Record where served vectors at `indices` differ from an engine's, shape (len(indices), features).

        The replay must agree to the bit. Other engines compute in another order and in float64: rounded to
        float32, a derived value may be the neighbouring number.
        """
        actual, expected = served.vectors[indices], recomputed.astype(np.float32)
        differ = (actual.view(np.int32) != expected.view(np.int32)) & ~(np.isnan(actual) & np.isnan(expected))
        if engine != "replay":
            near = np.abs(actual - expected) <= np.spacing(np.maximum(np.abs(actual), np.abs(expected)))
            differ &= _EXACT | ~near
        for row, feature in np.argwhere(differ):
            tx = served.decisions[indices[row]].tx
            self.add_mismatch(engine, tx.tx_id, NAMES[feature], actual[row, feature], expected[row, feature])


def check_parity(
    run_dir: Path,
    history: Path,
    settings: Settings,
    plan: ParityPlan,
) -> ParityResult:
    """Recompute every served vector of an archived run.

    Raises:
        FraudsimError: the run was served with another catalogue, or its folder is incomplete; or it was
            simulated under a regime whose vectors are not those of one log prefix.
    """
    _check_expressible(run_dir)
    log = LogEvents(run_dir, settings.partitions)
    first = log.clock.first
    tables = HistoryTables(*read_history_tables(history))
    base = state_of_history(*tables, first.event_epoch_ms, first.horizon_ms)
    served = _served_vectors(first_decisions(run_dir), run_dir, log)
    result = ParityResult(
        vectors=len(served.decisions),
        degraded=served.degraded,
        uncertain=served.uncertain,
        missing_pending=served.missing_pending,
    )
    replayed = _replayed(served, log, tables, base, settings.slots)
    result.compare("replay", served, np.arange(len(replayed)), replayed)

    transactions = [decision.tx for decision in served.decisions]
    if plan.brute_force:
        indices = weighted_sample(np.ones(len(transactions)), plan.brute_force, plan.seed)
        brute = BruteForce(log, tables, [transactions[i] for i in indices], settings.slots)
        vectors = [brute.vector(*served.decisions[i]) for i in indices]
        result.by_brute_force = len(indices)
        result.compare("brute force", served, indices, np.array(vectors).reshape(-1, len(NAMES)))
    if plan.sample and transactions:
        # Imported late: DuckDB's module reports errors at the end of a process that froze its garbage, as the
        # runner's does.
        from stream_features.parity.duckdb_vectors import duckdb_vectors

        weight = weights(heat(transactions), served.staleness_ms, served.stale)
        indices = weighted_sample(weight, plan.sample, plan.seed)
        decisions = [served.decisions[i] for i in indices]
        result.by_duckdb = len(indices)
        result.compare("duckdb", served, indices, duckdb_vectors(log, tables, decisions, settings.slots))
    if plan.staleness:
        fresh = fresh_vectors(transactions, log, base)
        result.staleness_effect = staleness_effect(served.vectors, fresh)
    return result


class _Simulation(msgspec.Struct):
    regime: str
    not_in_a_prefix: str
    """Why no log prefix says what the vectors were computed from; empty where it does."""


def _check_expressible(run_dir: Path) -> None:
    path = run_dir / SIMULATION_FILE
    if not path.exists():
        return
    try:
        simulation = msgspec.json.decode(path.read_bytes(), type=_Simulation)
    except msgspec.DecodeError as error:
        raise FraudsimError(f"{path}: {error}; simulate the run again") from None
    if simulation.not_in_a_prefix:
        raise FraudsimError(
            f"{run_dir} was simulated under regime {simulation.regime}, and parity cannot recompute it: "
            f"{simulation.not_in_a_prefix}"
        )


def _replayed(
    served: _ServedVectors, log: LogEvents, tables: HistoryTables, base: StateTable, slots: int
) -> Floats:
    """The vectors by the kernel, shape (n, features)."""
    replay, replayed = Replay(log, base, slots), np.empty_like(served.vectors)
    lagged = [i for i, decision in enumerate(served.decisions) if decision.lag_ms]
    if lagged:
        replayed[lagged] = lagged_vectors([served.decisions[i] for i in lagged], log, tables, slots)
    for i, (tx, prefix, lag_ms) in enumerate(served.decisions):
        if not lag_ms:
            replayed[i] = replay.vector(tx, prefix)
    return replayed


def _served_vectors(decisions: pa.Table, run_dir: Path, log: LogEvents) -> _ServedVectors:
    """The comparable decisions, and the counts of the others."""
    hashes = decisions["feature_hash"]
    other_hashes = pc.unique(hashes.filter(pc.not_equal(hashes, HASH)))
    if len(other_hashes):
        raise FraudsimError(
            f"{run_dir} was served with catalogue {other_hashes[0]}, this is {HASH}: check it with the "
            "version that served it"
        )
    decisions = decisions.sort_by("stamp_decided")
    degraded = _sum(decisions["degraded"])
    decisions = decisions.filter(pc.invert(decisions["degraded"]))
    uncertain = _sum(decisions["uncertain"])
    decisions = decisions.filter(pc.invert(decisions["uncertain"]))
    names = ("source_partition", "source_offset", "prefix", "features_lag_ms")
    kept, with_prefix, missing_pending = [], [], 0
    for i, (partition, offset, text, lag_ms) in enumerate(
        zip(*(decisions[n].to_pylist() for n in names), strict=True)
    ):
        prefix, tx = _decode_prefix(text), log.transactions.get((partition, offset))
        if tx is None or any(item not in log.position_of_id for item in prefix.pending):
            missing_pending += 1
            continue
        kept.append(i)
        with_prefix.append(ServedDecision(tx, prefix, lag_ms or 0))
    decisions = decisions.take(pa.array(kept, pa.int64()))
    return _ServedVectors(
        with_prefix,
        _matrix(decisions["features"]),
        decisions["staleness_ms"].to_numpy(),
        decisions["stale"].to_numpy(),
        degraded,
        uncertain,
        missing_pending,
    )


def _sum(flags: pa.ChunkedArray) -> int:
    return pc.sum(flags).as_py() or 0


def _matrix(lists: pa.ChunkedArray) -> Floats:
    """Vectors as they were served, shape (n, features), NaN where null."""
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False) if len(lists) else np.empty(0)
    return values.astype(np.float32).reshape(len(lists), len(NAMES))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def write_result(result: ParityResult, path: Path) -> None:
    """The result as JSON."""
    write_whole(path, json.dumps(asdict(result), indent=2) + "\n")
