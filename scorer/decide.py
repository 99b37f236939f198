"""One code path for stream and HTTP: features, score, policy, reasons, decision."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fraudsim import metrics
from fraudsim.events import Decision, LogPrefix, Stamps, Transaction
from model.artefact import Model
from scorer.dependency import AwayError, Dependency
from scorer.policy import POLICY_VERSION, apply_policy
from scorer.served_model import ServedModel
from stream_features.reader import FeatureReader, Reading
from stream_features.vector import as_list, vector


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
    """Decides batches of transactions; every one is decided from its own reading, or degraded without."""

    def __init__(
        self, reader: FeatureReader, served: ServedModel, state: Dependency, patience_s: float
    ) -> None:
        """`patience_s` is how long the stream waits for the state of a batch."""
        self._reader = reader
        self._served = served
        self._state = state
        self._patience_s = patience_s

    async def decide(
        self,
        incoming: Sequence[Incoming],
        via: Literal["stream", "http"] = "stream",
        until_s: float | None = None,
    ) -> list[Decision]:
        """One decision each, in order; degraded where the state cannot be read by `until_s` (monotonic).

        Raises:
            FraudsimError: the state is another log's.
        """
        until_s = time.monotonic() + self._patience_s if until_s is None else until_s
        transactions = [item.tx for item in incoming]
        try:
            readings = await self._state.ask(
                lambda: self._reader.read(transactions, http=via == "http"), until_s
            )
        except AwayError as away:
            metrics.DEGRADED.labels(via, away.reason).inc(len(incoming))
            return self._by_model([*zip(incoming, map(_no_reading, transactions), strict=True)], via, True)
        return self._by_model([*zip(incoming, readings, strict=True)], via, False)

    def _by_model(
        self, read: Sequence[tuple[Incoming, Reading]], via: Literal["stream", "http"], degraded: bool
    ) -> list[Decision]:
        model = self._served.model
        forest = model.fallback if degraded else model.serving
        features_us = now_us()
        scores = forest.predict(np.stack([reading.features for _, reading in read]))
        stage = _Stage(model, degraded, via, features_us, scored_us=now_us())
        return [
            _decision(item, reading, float(score), stage)
            for (item, reading), score in zip(read, scores, strict=True)
        ]


def _no_reading(tx: Transaction) -> Reading:
    """What is known of a transaction without any state."""
    return Reading(
        features=vector(tx, {}, 0)[0],
        prefix=LogPrefix(slots={}, tail_from=[], tail_to=[]),
        staleness_ms=0.0,
        read_us=now_us(),
        stale=False,
        uncertain=False,
    )


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the decisions of one batch share."""

    model: Model
    degraded: bool
    via: Literal["stream", "http"]
    features_us: int
    scored_us: int


def _decision(item: Incoming, reading: Reading, score: float, stage: _Stage) -> Decision:
    tx, manifest = item.tx, stage.model.manifest
    forest = stage.model.fallback if stage.degraded else stage.model.serving
    thresholds = manifest.fallback.thresholds if stage.degraded else stage.model.thresholds
    action, rule_hits = apply_policy(tx, score, reading.features, thresholds)
    reasons = [] if action == "approve" else forest.reasons(reading.features)
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
        model_version=manifest.version,
        policy_version=POLICY_VERSION,
        variant="fallback" if stage.degraded else stage.model.variant,
        stamps=Stamps(
            intended=tx.sent_at or item.received_us,
            received=item.received_us,
            state_read=reading.read_us,
            features=stage.features_us,
            scored=stage.scored_us,
            decided=now_us(),
        ),
        source_partition=item.partition,
        source_offset=item.offset,
        prefix=reading.prefix,
        staleness_ms=round(reading.staleness_ms, 3),
        features=as_list(reading.features),
        feature_hash=manifest.catalogue_hash,
        via=stage.via,
        stale=reading.stale,
        degraded=stage.degraded,
        uncertain=reading.uncertain,
    )
