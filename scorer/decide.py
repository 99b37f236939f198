"""One code path for stream and HTTP: features, score, policy, reasons, decision."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from fraudsim import metrics
from fraudsim.log.events import Decision, LogPrefix, Stamps, Transaction
from model.artefact.calibration import Calibration
from model.artefact.cascade import Cascade
from model.artefact.model import Model
from model.artefact.thresholds import Thresholds
from model.forest.forest import Forest
from scorer.models.served import ServedModel
from scorer.policy.policy import Choice, Limit, Opinion, Policy, Variant
from scorer.policy.quota import Places, hold_places
from scorer.policy.served import ServedPolicy
from scorer.resilience.dependency import AwayError, Dependency
from stream_features.catalogue.features import DAY
from stream_features.online.reader import FeatureReader, Reading, StateSnapshot
from stream_features.vector import as_list, vector

Ahead = asyncio.Future[StateSnapshot]
"""The reading of a state that was begun before it is certain to be needed."""


class Incoming(msgspec.Struct, frozen=True, gc=False):
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
        self,
        reader: FeatureReader,
        model: ServedModel,
        policy: ServedPolicy,
        places: Places,
        *,
        state: Dependency,
        limits: Dependency,
        patience_s: float,
    ) -> None:
        """`state` and `limits` guard what `reader` and `places` ask of Redis.

        `patience_s` is how long the stream waits for the state of a batch.
        """
        self._reader = reader
        self._model = model
        self._policy = policy
        self._places = places
        self._state = state
        self._limits = limits
        self._patience_s = patience_s

    def prefetch(self, transactions: Sequence[Transaction], linger_s: float = 0.0) -> Ahead | None:
        """Begin to read the state of what may have to be decided; None while it is away.

        With `linger_s` it is asked together with what else Redis is asked within that time.
        """
        if self._state.away is not None:
            return None
        ahead = asyncio.ensure_future(self._reader.fetch_state(transactions, linger_s))
        ahead.add_done_callback(_heed)
        return ahead

    async def decide(
        self,
        incoming: Sequence[Incoming],
        via: Literal["stream", "http"] = "stream",
        until_s: float | None = None,
        ahead: Ahead | None = None,
    ) -> list[Decision]:
        """One decision each, in order; degraded where the state cannot be read by `until_s` (monotonic).

        `ahead` is the reading of the state of these, and maybe of others, where it has begun.

        Raises:
            FraudsimError: the state is another log's.
        """
        until_s = time.monotonic() + self._patience_s if until_s is None else until_s
        transactions = [item.tx for item in incoming]
        try:
            stored = await self._state.ask(
                lambda: self._reader.fetch_state(transactions) if ahead is None else ahead, until_s
            )
        except AwayError as away:
            metrics.DEGRADED.labels(via, away.reason).inc(len(incoming))
            return await self._by_model(incoming, [*map(_no_reading, transactions)], via, "fallback", until_s)
        readings = await self._reader.readings(transactions, stored, http=via == "http", until_s=until_s)
        return await self._by_model(incoming, readings, via, "champion", until_s)

    async def _by_model(
        self,
        incoming: Sequence[Incoming],
        readings: Sequence[Reading],
        via: Literal["stream", "http"],
        variant: Variant,
        until_s: float,
    ) -> list[Decision]:
        """One lineup of models and one policy for all of them, whatever is exchanged meanwhile."""
        lineup, policy = self._model.lineup, self._policy.policy
        of_each: dict[int, _Judge] = {}
        scores = [0.0] * len(incoming)
        features_us = now_us()
        rows = np.array([reading.features for reading in readings])
        for model, places in lineup.split([item.tx.card_id for item in incoming]).items():
            judge = _Judge.of(model, variant, challenging=model is not lineup.champion)
            theirs = rows if len(places) == len(rows) else rows[places]
            for place, score in zip(places, judge.forest.predict(theirs).tolist(), strict=True):
                scores[place], of_each[place] = score, judge
        scored_us = now_us()
        judges = [of_each[place] for place in range(len(incoming))]
        probabilities = [
            judge.calibration.probability(score) for judge, score in zip(judges, scores, strict=True)
        ]
        opinions = [
            policy.consider(
                item.tx, reading.features, score, probability, variant, judge.thresholds,
                self._policy.rule_failed,
            )
            for item, reading, judge, score, probability in zip(
                incoming, readings, judges, scores, probabilities, strict=True
            )
        ]  # fmt: skip
        if policy.limited:
            await self._hold_places(policy, [item.tx for item in incoming], opinions, until_s)
        stage = _Stage(policy.version, via, features_us, scored_us)
        return [
            _decision(item, reading, judge, score, probability, policy.conclude(item.tx, opinion), stage)
            for item, reading, judge, score, probability, opinion in zip(
                incoming, readings, judges, scores, probabilities, opinions, strict=True
            )
        ]

    async def _hold_places(
        self, policy: Policy, transactions: Sequence[Transaction], opinions: Sequence[Opinion], until_s: float
    ) -> None:
        async def take(limit: Limit, day: int, tx_ids: Sequence[str]) -> list[bool] | None:
            try:
                return await self._limits.ask(
                    lambda: self._places.take(policy.limits, limit, day, tx_ids), until_s
                )
            except AwayError:
                return None

        for day, count in Counter(tx.ts // DAY for tx in transactions).items():
            self._places.decided(day, count)
        await hold_places(policy, [*zip(transactions, opinions, strict=True)], take)


def _heed(ahead: Ahead) -> None:
    """Nobody may wait for it in the end, so nobody may ask what went wrong."""
    if not ahead.cancelled():
        ahead.exception()


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
class _Judge:
    """One model as it judges what it was given."""

    model: Model
    forest: Forest | Cascade
    thresholds: Thresholds
    calibration: Calibration
    variant: str
    """What a decision says has made it; the model's version says which."""

    @classmethod
    def of(cls, model: Model, variant: Variant, *, challenging: bool) -> "_Judge":
        """A model where the state can be read (`champion`), or its fallback."""
        manifest = model.manifest
        if variant == "fallback":
            fallback = manifest.fallback
            return cls(model, model.fallback, fallback.thresholds, fallback.to_probability, "fallback")
        said = model.variant
        if challenging:
            said = "challenger" if model.kind == "full" else f"challenger_{model.kind}"
        return cls(model, model.serving, model.thresholds, manifest.to_probability, said)


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the decisions of one batch share."""

    policy_version: str
    via: Literal["stream", "http"]
    features_us: int
    scored_us: int


def _decision(
    item: Incoming,
    reading: Reading,
    judge: _Judge,
    score: float,
    probability: float,
    choice: Choice,
    stage: _Stage,
) -> Decision:
    tx, manifest = item.tx, judge.model.manifest
    reasons = [] if choice.action == "approve" else judge.forest.reasons(reading.features)
    return Decision(
        tx_id=tx.tx_id,
        ts=tx.ts,
        card_id=tx.card_id,
        amount_cents=tx.amount_cents,
        merchant_id=tx.merchant_id,
        score=score,
        action=choice.action,
        reasons=reasons,
        rule_hits=choice.rule_hits,
        model_version=manifest.version,
        policy_version=stage.policy_version,
        variant=judge.variant,
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
        degraded=judge.variant == "fallback",
        uncertain=reading.uncertain,
        probability=probability,
        held_back=choice.held_back,
        weight=choice.weight,
    )
