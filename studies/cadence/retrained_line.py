"""A simulated line whose model is trained anew between weeks, from what it has heard by then."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.drift.decided_weeks import DecidedWeeks
from dashboards.drift.detector import BlockDetector
from dashboards.drift.week import WeekSummarizer
from fraudsim.arrays import Doubles, Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label
from lifecycle.retraining.triggers import MATURE_DAYS, Evidence, retraining_cents
from model.artefact.costs import Costs, Stakes, decision_costs
from model.training.dataset import build_dataset
from model.training.label_knowledge import LabelKnowledge
from model.training.split import split_history
from producers.history.tables import LABELS
from producers.world.settings import consequences
from scorer.policy.policy import Policy
from simulator.line.decided import DecidedStretch
from simulator.line.drifted_traffic import DriftedTraffic
from simulator.line.line import SimulatedLine
from simulator.line.scoring import PaymentColumns, Scoring
from simulator.regimes import REGIMES
from stream_features.catalogue.features import DAY
from studies.cadence.plan import CadenceArm
from studies.drift.cell import rows_of
from studies.frame.study_world import StudyWorld, fit_arm

LEARNT_DAYS = 75
"""Days that a retraining learns from, with the warm-up before them."""


class Retrainer:
    """Collects what a bank would have, and exchanges the model when a trigger says so."""

    def __init__(
        self, world: StudyWorld, traffic: DriftedTraffic, arm: CadenceArm, scoring: Scoring, policy: Policy
    ) -> None:
        self._world, self._arm, self._scoring, self._policy = world, arm, scoring, policy
        self._start_ms = traffic.start_ms
        self._tables: list[pa.Table] = [_plain(traffic.past)]
        self._vectors: list[Floats] = [world.vectors(REGIMES["real-time"])]
        before = traffic.labels_before
        if arm.truth:
            self._labels = [_known_at_once(before)]
        else:
            self._labels = [_plain(before.filter(pc.less(before["known_at"], traffic.start_ms)))]
        self._weeks, self._summarizer = DecidedWeeks(traffic.start_ms), WeekSummarizer(world.seed)
        self._detector = BlockDetector()
        self._decided: list[tuple[Ints, pa.Table, Doubles]] = []
        """Start, payments and probabilities of each stretch."""
        self._tried_ms = traffic.start_ms
        self._share_then: float | None = None
        self.retrained_ms: list[int] = []
        """Event times at which the model was exchanged."""
        self.failed = 0

    def add(self, decided: DecidedStretch) -> None:
        """Take in a stretch, and train anew if that is due."""
        stretch, now_ms = decided.stretch, decided.stretch.end_ms
        self._tables.append(_plain(stretch.transactions))
        self._vectors.append(decided.vectors)
        self._decided.append((decided.seen_to, _plain(stretch.transactions), decided.probabilities))
        labels = _of_truth(decided) if self._arm.truth else _table(decided.labels)
        self._labels.append(labels)
        drifted: list[str] = []
        for week in self._weeks.add(rows_of(decided), decided.labels, now_ms):
            verdict = self._detector.add(self._summarizer.summarize(week))
            drifted = [reading.name for reading in verdict.drifted]
        share, at_stake = self._performance(now_ms)
        if self._share_then is None:
            self._share_then = share
        cost = retraining_cents(consequences(self._world.settings))
        evidence = Evidence(now_ms, self._tried_ms, drifted, share, self._share_then, at_stake, cost)
        if self._arm.trigger.reason(evidence) is not None:
            self._retrain(now_ms)

    def _retrain(self, now_ms: int) -> None:
        self._tried_ms = now_ms
        transactions = pa.concat_tables(self._tables)
        from_ms = now_ms - LEARNT_DAYS * DAY
        recent = transactions["ts"].to_numpy() >= from_ms
        first = int(np.flatnonzero(recent)[0])
        transactions = transactions.slice(first)
        gap = 0.0 if self._arm.truth else self._world.settings.label_gap_days
        split = split_history(int(transactions["ts"][0].as_py()), now_ms, gap)
        until_ms = now_ms - DAY - round(gap * DAY)
        split = replace(split, train_until_ms=until_ms, test_from_ms=now_ms - DAY)
        try:
            dataset = build_dataset(transactions, pa.concat_tables(self._labels), split)
        except FraudsimError:
            self.failed += 1  # too few labels: the champion serves on
            return
        fitted = fit_arm(dataset, np.concatenate(self._vectors)[first:], "real-time")
        limits = replace(self._policy.limits, flag_from_probability=fitted.flag_from)
        self._scoring.exchange(fitted.arm, replace(self._policy, limits=limits))
        self._detector.restart()
        self._share_then = None
        self.retrained_ms.append(now_ms)

    def _performance(self, now_ms: int) -> tuple[float | None, float]:
        """Cost share of the youngest mature week's decisions by labels known now, and its fraud, cents."""
        mature = [item for item in self._decided if _last_ts(item[1]) < now_ms - MATURE_DAYS * DAY]
        if not mature:
            return None, 0.0
        _, table, probabilities = mature[-1]
        knowledge = LabelKnowledge.of(table, pa.concat_tables(self._labels))
        fraud: Flags = knowledge.fraud_known_by(now_ms)
        columns = PaymentColumns.of(table)
        stakes = Stakes(columns.amount, fraud, columns.can_hold)
        at_stake = float(columns.amount[fraud].sum())
        if not at_stake:
            return None, 0.0
        cost = float(decision_costs(probabilities, stakes, Costs()).sum())
        return cost / at_stake, at_stake


class RetrainedLine(SimulatedLine):
    """A line with a retrainer, which looks at each stretch once it is over."""

    def __init__(
        self, traffic: DriftedTraffic, scoring: Scoring, retrainer: Retrainer, world: StudyWorld
    ) -> None:
        super().__init__(traffic, REGIMES["real-time"], scoring, consequences(world.settings), reacting=False)
        self._retrainer = retrainer

    def run(self) -> Iterator[DecidedStretch]:
        """Each stretch once it is over."""
        for decided in super().run():
            yield decided
            self._retrainer.add(decided)


def _last_ts(table: pa.Table) -> int:
    return int(table["ts"][table.num_rows - 1].as_py())


def _plain(table: pa.Table) -> pa.Table:
    """Words in place of dictionaries, so that tables of different stretches go together."""
    return table.cast(
        pa.schema(
            [
                (field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
                for field in table.schema
            ]
        )
    )


_LABELS = _plain(LABELS.empty_table()).schema


def _table(labels: Sequence[Label]) -> pa.Table:
    rows = [{name: getattr(label, name) for name in _LABELS.names} for label in labels]
    return pa.Table.from_pylist(rows, schema=_LABELS)


def _known_at_once(labels: pa.Table) -> pa.Table:
    frauds = labels.filter(labels["is_fraud"])
    index = frauds.column_names.index("known_at")
    return _plain(frauds.set_column(index, "known_at", frauds["ts"]))


def _of_truth(decided: DecidedStretch) -> pa.Table:
    stretch = decided.stretch
    rows = np.flatnonzero(stretch.is_fraud).tolist()
    return _table(
        [
            Label(
                tx_id=tx.tx_id, card_id=tx.card_id, ts=tx.ts, amount_cents=tx.amount_cents, is_fraud=True,
                source="analyst", known_at=tx.ts, merchant_id=tx.merchant_id,
            )
            for tx in map(stretch.transaction, rows)
        ]
    )  # fmt: skip
