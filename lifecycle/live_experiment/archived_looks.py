"""What a run's archive holds of an experiment's stage, read as the archiver writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from fraudsim.archive.first_decisions import FirstDecisions
from fraudsim.archive.log_files import log_files, read_archived
from fraudsim.log.events import ACTIONS, Action, Assignment, Label, Transaction
from fraudsim.log.topics import DECISIONS, LABELS
from lifecycle.experiment.observer import SeenPayment, StageObserver
from lifecycle.experiment.state import ExperimentState
from model.artefact.model import Model
from model.registry.aliases import BUCKETS, bucket_of
from producers.labels.consequences import Consequences
from producers.labels.outcome import CARD_NOT_PRESENT
from scorer.policy.policy import Policy
from scorer.policy.rules import RuleError, RuleInput
from stream_features.vector import as_vector

SLOW_US: Final = 50_000
DECISION_COLUMNS: Final = [
    "partition", "offset", "error", "tx_id", "ts", "card_id", "amount_cents", "action", "model_version",
    "source_partition", "source_offset", "features", "degraded", "probability", "channel", "block",
    "assignment", "stamp_received", "stamp_decided",
]  # fmt: skip
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
        for row in self._new_rows(DECISIONS, DECISION_COLUMNS):
            if not self._first.is_first(row["source_partition"], row["source_offset"]):
                continue
            self.last_ms = max(self.last_ms, row["ts"])
            if row["ts"] >= state.began_ms:
                count += self._add_decision(row, observer, state)
        for row in self._new_rows(LABELS, LABEL_COLUMNS):
            del row["partition"], row["offset"], row["error"]
            observer.add_label(Label(**row))
        return count

    def _new_rows(self, topic: str, columns: list[str]) -> Iterator[dict[str, Any]]:
        for path in log_files(self._run_dir, topic):
            if path not in self._files_read:
                self._files_read.add(path)
                for row in read_archived(path, topic, columns).to_pylist():
                    if row["error"] is None:
                        yield row

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
        tx = msgspec.convert(
            {name: row[name] for name in ("tx_id", "ts", "card_id", "amount_cents", "channel")}, Transaction
        )
        rule_input = RuleInput(tx, vector, score, probability)
        assessment = self._policy.assess(rule_input, "champion", model.thresholds, _ignore)
        return ACTIONS[assessment.preferred]


def _ignore(file: str, error: RuleError) -> None:
    """The scorer counts it."""
