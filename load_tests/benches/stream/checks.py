"""Checks of the answers of `fraudsim bench stream`, made before a figure counts."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from aiokafka import TopicPartition

from fraudsim.errors import InvariantError
from fraudsim.log.consumer import read_to_end
from fraudsim.log.events import Decision, Transaction, decode_decision
from load_tests.rivals.scoring_setup import open_booster
from model.artefact.model import Model

CHECKED: Final = 200
"""Decisions whose scores are compared with the model."""
TOLERANCE: Final = 1e-6


def answers_since(kafka_bootstrap: str, first: Mapping[TopicPartition, int]) -> list[bytes]:
    """Values of the records from these offsets to the ends of their partitions."""
    return [
        record.value
        for partition, offset in first.items()
        for record in read_to_end(kafka_bootstrap, partition, offset)[0]
    ]


def check_each_answered_once(name: str, sent: Sequence[Transaction], answers: Sequence[bytes]) -> None:
    """Raise InvariantError unless every transaction has exactly one answer."""
    if sorted(tx.tx_id for tx in sent) != sorted(msgspec.json.decode(answer)["tx_id"] for answer in answers):
        raise InvariantError(f"bench stream: {name} did not answer each transaction once")


def check_ours(answers: Sequence[bytes], model: Model) -> dict[str, float]:
    """Check our decisions; shares of stale and explained ones, and their staleness.

    Raises:
        InvariantError: a decision is degraded, or its score differs from the model's.
    """
    decisions = [decode_decision(answer) for answer in answers]
    degraded = sum(decision.degraded for decision in decisions)
    if degraded:
        raise InvariantError(f"bench stream: {degraded:,} of {len(decisions):,} decisions are degraded")
    _check_scores(decisions[:: max(1, len(decisions) // CHECKED)], model)
    return {
        "staleness_p50_ms": round(statistics.median(decision.staleness_ms for decision in decisions), 1),
        "stale_share": round(sum(decision.stale for decision in decisions) / len(decisions), 4),
        "explained_share": round(sum(d.action != "approve" for d in decisions) / len(decisions), 4),
    }


def _check_scores(decisions: Sequence[Decision], model: Model) -> None:
    rows = np.array([decision.features for decision in decisions], np.float32)
    scores = open_booster(model).inplace_predict(rows)
    for decision, score in zip(decisions, scores.tolist(), strict=True):
        if not abs(decision.score - score) <= TOLERANCE:
            raise InvariantError(
                f"bench stream: {decision.tx_id}: score {decision.score!r}, the model's is {score!r}"
            )
