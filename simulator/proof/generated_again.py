"""Proof (b): from a run's history alone, the same transactions; what was decided otherwise, by its cause."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from fraudsim.arrays import Floats
from fraudsim.errors import FraudsimError
from fraudsim.log.events import ACTIONS, Label, Transaction
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from producers.history.reader import read_history
from producers.world.settings import consequences
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.traffic import traffic_of
from simulator.proof.archived_run import ArchivedRun, LiveDecision, refuse_controls, rows_differ
from simulator.regimes import REGIMES, regime_of
from simulator.simulate import scoring_of
from stream_features.catalogue.features import DAY
from stream_features.parity.staleness import fresh_vectors
from stream_features.vector import keys_of

LabelFact = tuple[str, str, bool, int]
"""Transaction, source, verdict, time known."""


@dataclass
class GeneratedAgain:
    """Counts of a run's transactions and decisions beside those of a simulation from the same history."""

    transactions: int = 0
    transactions_differ: int = 0
    """Transactions that only one of the two has, or that differ in a field."""
    decisions: int = 0
    vectors_differ: int = 0
    actions_differ: int = 0
    lag_ms: int = 0
    """Of the run's features."""
    causes: dict[str, int] = field(default_factory=dict)
    """Of the decisions whose vector or action differs."""

    @property
    def unexplained(self) -> int:
        return self.causes.get("unexplained", 0)

    @property
    def holds(self) -> bool:
        return not (self.transactions_differ or self.unexplained)


@dataclass(frozen=True)
class _Simulated:
    """What the simulation decided, by transaction."""

    transactions: dict[str, Transaction]
    vectors: dict[str, Floats]
    actions: dict[str, str]
    labels: list[Label]


def generate_again(run_dir: Path, settings: Settings) -> GeneratedAgain:
    """Simulate the time of a run from its history, and compare.

    Raises:
        FraudsimError: the run is not of a world, campaigns reacted in it, or its files cannot be used.
    """
    run = ArchivedRun(run_dir, settings)
    history = read_history(run_dir / "history")
    if history.manifest.source != "world":
        raise FraudsimError(f"--run {run_dir} replays a public file: only a world is generated again")
    refuse_controls(run_dir, "placed", "policy", "model")
    if not run.log.transactions:
        raise FraudsimError(f"--run {run_dir} holds no transactions")
    end_ms = max(tx.ts for tx in run.log.transactions.values())
    days = int((end_ms - history.manifest.end_ms) // DAY) + 1
    scoring = scoring_of(run_dir / "model", REGIMES["real-time"], run_dir / "policy")
    rules = consequences(settings)
    if not any(item.prefix.labels_to for item in run.decisions):
        rules = replace(rules, block_hours=0.0)  # the run is of a version that blocked no cards
    lags = {item.lag_ms for item in run.decisions}
    regime = regime_of("delayed", None, max(lags)) if max(lags, default=0) else REGIMES["real-time"]
    line = SimulatedLine(traffic_of(history, days), regime, scoring, rules, reacting=False, primed=False)
    simulated = _simulated(line.run(), end_ms)
    result = GeneratedAgain(lag_ms=max(lags, default=0))
    _compare_transactions(run, simulated, result)
    _compare_decisions(run, simulated, result)
    return result


def _simulated(stretches: Iterator[DecidedStretch], end_ms: int) -> _Simulated:
    gathered = _Simulated({}, {}, {}, [])
    for decided in stretches:
        ts = decided.stretch.transactions["ts"].to_numpy()
        for row in np.flatnonzero(ts <= end_ms).tolist():
            tx = decided.transaction(row)
            gathered.transactions[tx.tx_id] = tx
            gathered.vectors[tx.tx_id] = decided.vectors[row]
            gathered.actions[tx.tx_id] = ACTIONS[decided.action[row]]
        gathered.labels.extend(decided.labels)
    return gathered


def _compare_transactions(run: ArchivedRun, simulated: _Simulated, result: GeneratedAgain) -> None:
    live = {tx.tx_id: msgspec.structs.replace(tx, sent_at=0) for tx in run.log.transactions.values()}
    result.transactions = len(live)
    result.transactions_differ = sum(
        live.get(tx_id) != simulated.transactions.get(tx_id)
        for tx_id in live.keys() | simulated.transactions.keys()
    )


def _compare_decisions(run: ArchivedRun, simulated: _Simulated, result: GeneratedAgain) -> None:
    decisions = [item for item in run.decisions if item.tx.tx_id in simulated.vectors]
    result.decisions = len(decisions)
    if not decisions:
        return
    vectors = np.array([simulated.vectors[item.tx.tx_id] for item in decisions])
    served = np.array([item.vector for item in decisions])
    differs = rows_differ(served, vectors)
    explains = np.zeros(len(decisions), np.bool_)
    if not any(item.lag_ms for item in decisions):
        fresh = fresh_vectors([item.tx for item in decisions], run.log, run.primed)
        explains = ~rows_differ(np.ascontiguousarray(fresh), vectors)
    causes = _Causes(run, simulated.labels)
    counts: Counter[str] = Counter()
    for index, item in enumerate(decisions):
        other_action = simulated.actions[item.tx.tx_id] != item.row["action"]
        result.actions_differ += other_action
        if differs[index]:
            counts[causes.of_vector(item, in_prefix=not explains[index])] += 1
        elif other_action:
            counts[causes.of_action(item)] += 1
    result.vectors_differ = int(differs.sum())
    result.causes = dict(sorted(counts.items()))


class _Causes:
    """Why a live decision differs from a simulated one."""

    def __init__(self, run: ArchivedRun, simulated: Sequence[Label]) -> None:
        self._run = run
        self._simulated = _facts(simulated)
        self._live = _facts(run.log.labels.values())
        self._simulated_cards = _facts(simulated, "card_id")
        self._live_cards = _facts(run.log.labels.values(), "card_id")

    def of_vector(self, item: LiveDecision, *, in_prefix: bool) -> str:
        """Args: in_prefix: whether even the whole log before the decision gives another vector."""
        if not in_prefix:
            if self._lacks_transaction(item):
                return "the prefix lacked a transaction"
            if self._lacks_label(item):
                return "the prefix lacked a label"
        merchant, now = item.tx.merchant_id, item.tx.ts - item.lag_ms
        if merchant is not None and self._before(self._live, merchant, now) != self._before(
            self._simulated, merchant, now
        ):
            return "the merchant's labels differ"
        return "unexplained"

    def of_action(self, item: LiveDecision) -> str:
        if item.limited:
            return "a daily limit"
        card, now = item.tx.card_id, item.tx.ts
        if self._before(self._live_cards, card, now) != self._before(self._simulated_cards, card, now):
            return "the card's labels differ"
        if self._lacks_card_label(item):
            return "the prefix lacked a label of the card"
        return "unexplained"

    @staticmethod
    def _before(facts: dict[str, list[LabelFact]], key: str, now_ms: int) -> set[LabelFact]:
        return {fact for fact in facts.get(key, ()) if fact[3] < now_ms}

    def _lacks_transaction(self, item: LiveDecision) -> bool:
        """Whether the log has an earlier transaction of one of its keys beyond the prefix."""
        log, prefix, now = self._run.log, item.prefix, item.tx.ts - item.lag_ms
        for entity, key in keys_of(item.tx):
            watermarks = prefix.slots[str(slot_of(entity, key, self._run.settings.slots))]
            events = log.by_key.get((entity, key))
            for (partition, offset), row in zip(events.positions, events.rows, strict=True) if events else ():
                unfolded = prefix.tail_from[partition] <= offset <= prefix.tail_to[partition]
                if row[0] < now and not (unfolded or offset <= watermarks[partition]):
                    return True
        return False

    def _lacks_label(self, item: LiveDecision) -> bool:
        log, tx = self._run.log, item.tx
        if tx.merchant_id is None:
            return False
        watermarks = item.prefix.slots[str(slot_of("merchant", tx.merchant_id, self._run.settings.slots))]
        events = log.labels_by_key.get(("merchant", tx.merchant_id))
        return any(
            row[1] < tx.ts - item.lag_ms and offset > watermarks[log.partitions + partition]
            for (partition, offset), row in (
                zip(events.positions, events.rows, strict=True) if events else ()
            )
        )

    def _lacks_card_label(self, item: LiveDecision) -> bool:
        labels_to = item.prefix.labels_to
        return any(
            label.card_id == item.tx.card_id and label.known_at < item.tx.ts and offset > labels_to[partition]
            for (partition, offset), label in self._run.log.labels.items()
            if labels_to
        )


def _facts(labels: Iterable[Label], key: str = "merchant_id") -> dict[str, list[LabelFact]]:
    gathered: dict[str, list[LabelFact]] = {}
    for label in labels:
        name = getattr(label, key)
        if name is not None:
            gathered.setdefault(name, []).append((label.tx_id, label.source, label.is_fraud, label.known_at))
    return gathered
