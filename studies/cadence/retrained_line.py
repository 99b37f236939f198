"""A simulated line whose model is trained anew between weeks, from what it has heard by then."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Floats
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label
from lifecycle.retraining.triggers import retraining_cents
from model.training.dataset import build_dataset
from model.training.split import split_history
from producers.history.tables import LABELS
from producers.world.settings import consequences
from scorer.policy.policy import Policy
from simulator.line.decided import DecidedStretch
from simulator.line.drifted_traffic import DriftedTraffic
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.regimes import REGIMES
from stream_features.catalogue.features import DAY
from studies.cadence.evidence import EvidenceBook
from studies.cadence.plan import CadenceArm
from studies.frame.study_world import StudyWorld, fit_arm

LEARNT_DAYS = 75
"""Days that a retraining learns from, with the warm-up before them."""


class Retrainer:
    """Collects what a bank would have, and exchanges the model when a trigger says so."""

    def __init__(
        self, world: StudyWorld, traffic: DriftedTraffic, arm: CadenceArm, scoring: Scoring, policy: Policy
    ) -> None:
        self._world, self._arm, self._scoring, self._policy = world, arm, scoring, policy
        self._tables: list[pa.Table] = [_plain(traffic.past)]
        self._vectors: list[Floats] = [world.vectors(REGIMES["real-time"])]
        before = traffic.labels_before
        if arm.truth:
            self._labels = [_known_at_once(before)]
        else:
            self._labels = [_plain(before.filter(pc.less(before["known_at"], traffic.start_ms)))]
        cost_cents = retraining_cents(consequences(world.settings))
        self._evidence = EvidenceBook(traffic.start_ms, world.seed, cost_cents)
        self._tried_ms = traffic.start_ms
        self.retrained_ms: list[int] = []
        """Event times at which the model was exchanged."""
        self.failed = 0
        self.cpu_s = 0.0
        """CPU time of all retrainings; vectors are those that were served."""

    def add(self, decided: DecidedStretch) -> None:
        """Take in a stretch, and train anew if that is due."""
        stretch, now_ms = decided.stretch, decided.stretch.end_ms
        self._tables.append(_plain(stretch.transactions))
        self._vectors.append(decided.vectors)
        labels = _of_truth(decided) if self._arm.truth else _table(decided.labels)
        self._labels.append(labels)
        evidence = self._evidence.add(decided, self._tried_ms)
        if self._arm.trigger.reason(evidence) is not None:
            begun = process_time()
            self._retrain(now_ms)
            self.cpu_s += process_time() - begun

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
        self._evidence.restart(now_ms)
        self.retrained_ms.append(now_ms)


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
