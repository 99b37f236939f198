"""One code path for stream and HTTP: features, score, policy, reasons, decision."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fraudsim.events import Decision, Stamps, Transaction
from model.artefact import Model
from scorer.policy import POLICY_VERSION, apply_policy
from scorer.served_model import ServedModel
from stream_features.reader import FeatureReader, Reading
from stream_features.vector import as_list


@dataclass(frozen=True, slots=True)
class Incoming:
    """A transaction to be decided, where it stands in the log, and when it was received (wall clock, µs)."""

    tx: Transaction
    received_us: int
    partition: int = -1
    offset: int = -1


def now_us() -> int:
    """Wall clock, µs since the epoch."""
    return time.time_ns() // 1000


class Decider:
    """Decides batches of transactions; every one is decided from its own reading."""

    def __init__(self, reader: FeatureReader, served: ServedModel) -> None:
        self._reader = reader
        self._served = served

    async def decide(
        self, incoming: Sequence[Incoming], via: Literal["stream", "http"] = "stream"
    ) -> list[Decision]:
        """One decision each, in order. Raises what the reader raises."""
        model = self._served.model
        readings = await self._reader.read([item.tx for item in incoming], http=via == "http")
        features_us = now_us()
        scores = model.predict(np.stack([reading.features for reading in readings]))
        scored_us = now_us()
        return [
            _decision(item, reading, float(score), model, via, features_us, scored_us)
            for item, reading, score in zip(incoming, readings, scores, strict=True)
        ]


def _decision(
    item: Incoming,
    reading: Reading,
    score: float,
    model: Model,
    via: Literal["stream", "http"],
    features_us: int,
    scored_us: int,
) -> Decision:
    tx = item.tx
    action, rule_hits = apply_policy(tx, score, reading.features, model.manifest.thresholds)
    reasons = [] if action == "approve" else model.reasons(reading.features)
    return Decision(
        tx_id=tx.tx_id,
        ts=tx.ts,
        card_id=tx.card_id,
        amount_cents=tx.amount_cents,
        merchant_id=tx.merchant_id,
        score=score,
        action=action,
        reasons=reasons,
        rule_hits=rule_hits,
        model_version=model.manifest.version,
        policy_version=POLICY_VERSION,
        variant="champion",
        stamps=Stamps(
            intended=tx.sent_at or item.received_us,
            received=item.received_us,
            state_read=reading.read_us,
            features=features_us,
            scored=scored_us,
            decided=now_us(),
        ),
        source_partition=item.partition,
        source_offset=item.offset,
        prefix=reading.prefix,
        staleness_ms=round(reading.staleness_ms, 3),
        features=as_list(reading.features),
        feature_hash=model.manifest.catalogue_hash,
        via=via,
        stale=reading.stale,
        uncertain=reading.uncertain,
    )
