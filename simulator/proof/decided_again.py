"""Proof (a): from a run's transactions, labels and log prefixes, the same scores and the same actions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fraudsim.log.events import Block
from fraudsim.settings import Settings
from producers.labels.blocks import CardBlocks
from producers.world.settings import consequences
from simulator.line.scoring import PaymentColumns
from simulator.line.traffic import labels_of
from simulator.proof.archived_run import ArchivedRun, LiveDecision, refuse_controls, rows_differ
from simulator.regimes import REGIMES
from simulator.simulate import scoring_of
from stream_features.offline.event_tables import event_table
from stream_features.parity.lagged_replay import lagged_vectors
from stream_features.parity.log_events import ServedDecision
from stream_features.parity.replay import Replay
from stream_features.vector import SIZE


@dataclass(frozen=True)
class DecidedAgain:
    """Counts of a run's decisions, and of those that came out otherwise."""

    decisions: int
    vectors_differ: int
    scores_differ: int
    actions_differ: int
    limited: int
    """Decisions in which a daily limit had a part: their actions are not compared."""
    left_out: int
    """Decisions without state, stale or uncertain ones, and those of another model."""

    @property
    def holds(self) -> bool:
        return not (self.vectors_differ or self.scores_differ or self.actions_differ)


class _PrefixBlocks:
    """The blocks of cards by the history's labels and each decision's prefix of the log's."""

    def __init__(self, run: ArchivedRun, block_ms: int) -> None:
        start_ms = run.log.clock.first.event_epoch_ms
        before = [((0, -1), label) for label in labels_of(run.history.labels) if label.known_at < start_ms]
        self._labels = [*before, *sorted(run.log.labels.items())]
        self._block_ms = block_ms
        self._by_card: dict[str, list[int]] = {}
        for index, (_, label) in enumerate(self._labels):
            self._by_card.setdefault(label.card_id, []).append(index)

    def at(self, decision: LiveDecision) -> Block | None:
        """The block of the decision's card; None too where the run read no labels for blocks."""
        labels_to = decision.prefix.labels_to
        if not labels_to:
            return None
        blocks = CardBlocks(self._block_ms)
        for index in self._by_card.get(decision.tx.card_id, ()):
            (partition, offset), label = self._labels[index]
            if offset <= labels_to[partition]:
                blocks.add(label)
        return blocks.at(decision.tx.card_id, decision.tx.ts)


def decide_again(run_dir: Path, settings: Settings) -> DecidedAgain:
    """Decide a run again by the fast-forward's scoring, on vectors of the parity check's replay.

    Raises:
        FraudsimError: the folder is no run, or its model or policy cannot be used.
    """
    refuse_controls(run_dir, "policy")
    run = ArchivedRun(run_dir, settings)
    scoring = scoring_of(run_dir / "model", REGIMES["real-time"], run_dir / "policy")
    version = scoring.arm.model_version
    decisions = [
        item
        for item in run.decisions
        if (item.row["model_version"], item.row["variant"]) == (version, "champion")
    ]
    replay = Replay(run.log, run.primed, settings.slots)
    vectors = np.full((len(decisions), SIZE), np.nan, np.float32)
    lagged = [index for index, item in enumerate(decisions) if item.lag_ms]
    if lagged:
        served_decisions = [
            ServedDecision(decisions[index].tx, decisions[index].prefix, decisions[index].lag_ms)
            for index in lagged
        ]
        vectors[lagged] = lagged_vectors(served_decisions, run.log, run.history, settings.slots)
    for index, item in enumerate(decisions):
        if not item.lag_ms:
            vectors[index] = replay.vector(item.tx, item.prefix)
    table: pa.Table = (
        event_table(type(decisions[0].tx), (item.tx for item in decisions)) if decisions else None
    )
    vectors_differ = scores_differ = actions_differ = limited = 0
    if decisions:
        assessed = scoring.assess(vectors, PaymentColumns.of(table), np.arange(len(decisions)))
        served = np.array([item.vector for item in decisions])
        vectors_differ = int(rows_differ(served, vectors).sum())
        served_scores = np.array([item.row["score"] for item in decisions])
        scores_differ = int((assessed.scores.astype(np.float64) != served_scores).sum())
        blocks = _PrefixBlocks(run, consequences(settings).block_ms)
        for index, item in enumerate(decisions):
            if item.limited:
                limited += 1
                continue
            block, action = blocks.at(item), "approve"
            if block is not None or assessed.to_decide[index]:
                scoring.count_decided(np.array([item.tx.ts]))
                score, probability = float(assessed.scores[index]), float(assessed.probabilities[index])
                action = scoring.decide(item.tx, vectors[index], score, probability, block).action
            actions_differ += action != item.row["action"]
    left_out = run.left_out + len(run.decisions) - len(decisions)
    return DecidedAgain(len(decisions), vectors_differ, scores_differ, actions_differ, limited, left_out)
