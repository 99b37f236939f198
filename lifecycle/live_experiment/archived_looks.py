"""What a run's archive holds of an experiment's stage, read as the archiver writes it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.first_decisions import FirstDecisions
from fraudsim.archive.log_files import log_files, read_archived
from fraudsim.log.events import ACTIONS, Action, Assignment, Label, Transaction
from fraudsim.log.topics import DECISIONS, LABELS
from lifecycle.backtest.twin_backtest import scoring_of_model
from lifecycle.experiment.both_arms import BothArms
from lifecycle.experiment.observer import SeenPayment, StageObserver
from lifecycle.experiment.state import ExperimentState
from model.artefact.model import Model
from model.registry.aliases import BUCKETS, bucket_of
from producers.labels.consequences import Consequences
from producers.labels.outcome import CARD_NOT_PRESENT
from scorer.policy.policy import Policy
from scorer.policy.rules import RuleError, RuleInput
from simulator.line.scoring import PaymentColumns
from stream_features.vector import as_vector

SLOW_US: Final = 50_000
DECISION_COLUMNS: Final = [
    "partition", "offset", "error", "tx_id", "ts", "card_id", "amount_cents", "merchant_id", "action",
    "model_version",
    "source_partition", "source_offset", "features", "degraded", "probability", "channel", "block",
    "assignment", "stamp_received", "stamp_decided",
]  # fmt: skip
PAYMENTS: Final = pa.schema(
    [
        ("tx_id", pa.string()), ("ts", pa.int64()), ("card_id", pa.string()), ("amount_cents", pa.int64()),
        ("merchant_id", pa.string()), ("channel", pa.string()),
    ]
)  # fmt: skip
"""What a decision says of its payment."""
LABEL_COLUMNS: Final = [
    "partition", "offset", "error", "tx_id", "card_id", "ts", "amount_cents", "is_fraud", "source",
    "known_at", "merchant_id",
]  # fmt: skip


class ArchivedLooks:
    """Feeds a stage's observer from the files of a run's archive, each file once.

    Args:
        models: champion and challenger.
        policy: by which the shadow would act.
    """

    def __init__(
        self, run_dir: Path, models: tuple[Model, Model], policy: Policy, rules: Consequences
    ) -> None:
        self._run_dir, self._policy, self._rules = run_dir, policy, rules
        self._champion, self._challenger = models
        self._both = BothArms(
            scoring_of_model(self._champion, policy), scoring_of_model(self._challenger, policy, "challenger")
        )
        self._files_read: set[Path] = set()
        self._first = FirstDecisions()
        self.last_ms = 0
        """Event time of the latest decision."""
        self.misassigned: set[str] = set()

    def begin_stage(self) -> None:
        """Read everything again: what belongs to the new stage may stand in a file that was read."""
        self._files_read.clear()
        self._first = FirstDecisions()
        self.misassigned.clear()

    def read(self, observer: StageObserver, state: ExperimentState) -> int:
        """Take in what has been archived since; returns the number of decisions of this stage."""
        count = 0
        for table in self._new_tables(DECISIONS, DECISION_COLUMNS):
            rows = [
                row
                for row in table.to_pylist()
                if self._first.is_first(row["source_partition"], row["source_offset"])
            ]
            live_from_ms = state.live_from_ms
            if live_from_ms is not None:
                for row in self._differing([row for row in rows if row["ts"] >= live_from_ms]):
                    observer.part(row["card_id"], row["ts"])
            for row in rows:
                self.last_ms = max(self.last_ms, row["ts"])
                if row["ts"] >= state.began_ms:
                    count += self._add_decision(row, observer, state)
        for table in self._new_tables(LABELS, LABEL_COLUMNS):
            for row in table.to_pylist():
                del row["partition"], row["offset"], row["error"]
                observer.add_label(Label(**row))
        return count

    def _new_tables(self, topic: str, columns: list[str]) -> Iterator[pa.Table]:
        """The readable records of each file that was not read yet."""
        for path in log_files(self._run_dir, topic):
            if path not in self._files_read:
                self._files_read.add(path)
                table = read_archived(path, topic, columns)
                yield table.filter(pc.is_null(table["error"]))

    def _differing(self, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows that the other arm's model would treat otherwise, or may: without state each model has a
        fallback of its own, and nothing is known of the other's."""
        yield from (row for row in rows if row["degraded"] or not row["features"])
        scored = [row for row in rows if not row["degraded"] and row["features"]]
        if not scored:
            return
        vectors = np.stack([as_vector(row["features"]) for row in scored])
        columns = PaymentColumns.of(pa.Table.from_pylist([*map(_payment, scored)], schema=PAYMENTS))
        blocked = {index for index, row in enumerate(scored) if row["block"] is not None}
        answers = self._both.ask(
            vectors, columns, np.arange(len(scored)), lambda index: _transaction(scored[index]), blocked
        )
        yield from (scored[index] for index in np.flatnonzero(answers.differ).tolist())

    def _add_decision(self, row: dict[str, Any], observer: StageObserver, state: ExperimentState) -> bool:
        """Whether it was decided under this stage's share."""
        share, text = state.current.share, row["assignment"]
        if not share:
            observer.add_payment(self._seen(row, in_b=False, error=False))
            if row["block"] is None and not row["degraded"]:
                observer.add_shadow(row["card_id"], row["ts"], self._shadow_action(row))
            return True
        if text is None:
            return False  # the scorer had not taken up the stage yet
        assignment = msgspec.json.decode(text, type=Assignment)
        if (assignment.salt, assignment.first, assignment.end) != (state.salt, 0, round(share * BUCKETS)):
            return False
        in_b = assignment.model_version == state.challenger
        expected = bucket_of(row["card_id"], state.salt) < assignment.end
        if in_b != expected or observer.tallies.arm_of(row["card_id"]) not in (None, in_b):
            self.misassigned.add(row["card_id"])
        error = in_b and not row["degraded"] and row["model_version"] != state.challenger
        observer.add_payment(self._seen(row, in_b=in_b, error=error))
        return True

    def _seen(self, row: dict[str, Any], *, in_b: bool, error: bool) -> SeenPayment:
        action: Action = row["action"]
        blocked, can_hold = row["block"] is not None, row["channel"] in CARD_NOT_PRESENT
        slow = row["stamp_decided"] - row["stamp_received"] > SLOW_US
        cents = self._cents(row, in_b, blocked, can_hold)
        return SeenPayment(
            row["tx_id"], row["card_id"], row["ts"], in_b, action, blocked, can_hold, error, slow, cents, 0.0
        )

    def _cents(self, row: dict[str, Any], in_b: bool, blocked: bool, can_hold: bool) -> float:
        """Friction, and what stopping costs if it was honest, by the champion's probability."""
        rules, action = self._rules, row["action"]
        if action == "approve":
            return 0.0
        probability = row["probability"]
        if in_b and row["features"]:
            vector = as_vector(row["features"])[np.newaxis]
            score = float(self._champion.serving.predict(vector)[0])
            probability = self._champion.manifest.to_probability.probability(score)
        honest = 1 - (probability or 0.0)
        insult = honest * rules.insult_cents(row["amount_cents"])
        if action == "decline":
            return insult * (rules.block_insult_share if blocked else 1.0)
        if action == "step_up":
            lost = 1 - rules.step_up_answered * (1 - rules.step_up_slips)
            return rules.step_up_cost_cents + lost * insult
        return honest * rules.hold_cost_cents if can_hold else 0.0

    def _shadow_action(self, row: dict[str, Any]) -> Action | None:
        """What B would do, before limits and chance; None where its score is no number."""
        vector = as_vector(row["features"])
        model = self._challenger
        score = float(model.serving.predict(vector[np.newaxis])[0])
        if not np.isfinite(score):
            return None
        probability = model.manifest.to_probability.probability(score)
        rule_input = RuleInput(_transaction(row), vector, score, probability)
        assessment = self._policy.assess(rule_input, "champion", model.thresholds, _ignore)
        return ACTIONS[assessment.preferred]


def _payment(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in PAYMENTS.names}


def _transaction(row: dict[str, Any]) -> Transaction:
    return msgspec.convert(_payment(row), Transaction)


def _ignore(file: str, error: RuleError) -> None:
    """The scorer counts it."""
