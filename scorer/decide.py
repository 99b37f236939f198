"""The decision, one code path for stream and HTTP: features, score, policy, reasons."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from fraudsim import metrics
from fraudsim.log.events import Block, Decision, LogPrefix, Stamps, Transaction
from producers.labels.divided_desk import ArmShare
from scorer.block_log import BlockLog
from scorer.models.arms import Arm, scores_by_roles
from scorer.models.roles import Roles
from scorer.models.served import ServedModel
from scorer.policy.policy import Assessment, Choice, Limit, Limits, Policy, Variant
from scorer.policy.quota import DailyQuota, limits_of_arm, reserve_quota
from scorer.policy.rules import RuleInput
from scorer.policy.served import ServedPolicy
from scorer.resilience.dependency import AwayError, Dependencies
from stream_features.catalogue.features import DAY
from stream_features.online.reader import FeatureSource, Reading, StateSnapshot
from stream_features.vector import as_list, vector

PrefetchedState = asyncio.Future[StateSnapshot]
"""A read of state that began before it was certain that the state is needed."""


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A transaction to decide, its position in the log, and its stamps so far (wall clock, µs; 0: none)."""

    tx: Transaction
    received_us: int
    partition: int = -1
    offset: int = -1
    appended_us: int = 0
    dequeued_us: int = 0


def now_us() -> int:
    """Wall clock, µs since the epoch."""
    return time.time_ns() // 1000


class Decider:
    """Decides batches of transactions, each on its own reading of the state, or degraded without one."""

    def __init__(
        self,
        reader: FeatureSource,
        model: ServedModel,
        policy: ServedPolicy,
        quota: DailyQuota,
        dependencies: Dependencies,
        blocks: BlockLog | None = None,
    ) -> None:
        """`dependencies` guard the calls of `reader` and `quota`. Without `blocks` no card is blocked."""
        self._blocks = blocks
        self._reader = reader
        self._model = model
        self._policy = policy
        self._quota = quota
        self._state, self._limits, self._state_wait_s = dependencies

    def prefetch(self, transactions: Sequence[Transaction], linger_s: float = 0.0) -> PrefetchedState | None:
        """Begin to read the state of transactions that may have to be decided; None while Redis is away.

        The read waits up to `linger_s` to share one send with other Redis commands.
        """
        if self._state.away is not None:
            return None
        prefetched_state = asyncio.ensure_future(self._reader.fetch_state(transactions, linger_s))
        prefetched_state.add_done_callback(_retrieve_exception)
        return prefetched_state

    async def decide(
        self,
        incoming: Sequence[Incoming],
        via: Literal["stream", "http"] = "stream",
        until_s: float | None = None,
        prefetched_state: PrefetchedState | None = None,
    ) -> list[Decision]:
        """One decision each, in order; degraded where the state cannot be read by `until_s` (monotonic).

        `prefetched_state` covers these transactions, and maybe others; without it the state is read here.

        Raises:
            FraudsimError: the state is another log's.
        """
        until_s = time.monotonic() + self._state_wait_s if until_s is None else until_s
        transactions = [item.tx for item in incoming]
        try:
            stored = await self._state.call(
                lambda: (
                    self._reader.fetch_state(transactions) if prefetched_state is None else prefetched_state
                ),
                until_s,
            )
        except AwayError as away:
            metrics.DEGRADED.labels(via, away.reason).inc(len(incoming))
            readings = [*map(_reading_without_state, transactions)]
            return await self._decide_by_roles(incoming, readings, via, "fallback", until_s)
        readings = await self._reader.readings(transactions, stored, http=via == "http", until_s=until_s)
        return await self._decide_by_roles(incoming, readings, via, "champion", until_s)

    async def _decide_by_roles(
        self,
        incoming: Sequence[Incoming],
        readings: Sequence[Reading],
        via: Literal["stream", "http"],
        variant: Variant,
        until_s: float,
    ) -> list[Decision]:
        """Score and decide under one set of roles and one policy, even if they are exchanged meanwhile."""
        roles, policy = self._model.roles, self._policy.policy
        features_us = now_us()
        rows = np.array([reading.features for reading in readings])
        arms, scores = scores_by_roles(roles, variant, [item.tx.card_id for item in incoming], rows)
        scored_us = now_us()
        probabilities = [arm.calibration.probability(score) for arm, score in zip(arms, scores, strict=True)]
        blocks = self._card_blocks([item.tx for item in incoming])
        assessments = [
            policy.assess(
                RuleInput(item.tx, reading.features, score, probability), variant, arm.thresholds,
                self._policy.rule_failed, block,
            )
            for item, reading, arm, score, probability, block in zip(
                incoming, readings, arms, scores, probabilities, blocks.of_each, strict=True
            )
        ]  # fmt: skip
        if policy.limited:
            await self._reserve_quotas(policy, roles, [item.tx for item in incoming], assessments, until_s)
        stage = _Stage(policy.version, roles, via, features_us, scored_us)
        return [
            _decision(
                item, blocks.noted(reading), Scored(arm, score, probability),
                policy.choose(item.tx, assessment), block, stage,
            )
            for item, reading, arm, score, probability, assessment, block in zip(
                incoming, readings, arms, scores, probabilities, assessments, blocks.of_each, strict=True
            )
        ]  # fmt: skip

    def _card_blocks(self, transactions: Sequence[Transaction]) -> "_CardBlocks":
        """The block of each transaction's card, and how far the labels have been read for them."""
        blocks = self._blocks
        if blocks is None:
            return _CardBlocks([None] * len(transactions), [], complete=True)
        of_each = [blocks.at(tx.card_id, tx.ts) for tx in transactions]
        return _CardBlocks(of_each, list(blocks.labels_to), complete=blocks.history_read)

    async def _reserve_quotas(
        self,
        policy: Policy,
        roles: Roles,
        transactions: Sequence[Transaction],
        assessments: Sequence[Assessment],
        until_s: float,
    ) -> None:
        """Reserve what the preferred actions need, each arm from its own part of the daily limits."""
        for model, indices in roles.split([tx.card_id for tx in transactions]).items():
            arm = roles.arm_of(model)
            limits = limits_of_arm(policy.limits, ArmShare(arm, roles.share_of(model)))

            async def reserve(
                limit: Limit, day: int, tx_ids: Sequence[str], limits: Limits = limits, arm: str = arm
            ) -> list[bool] | None:
                try:
                    return await self._limits.call(
                        lambda: self._quota.reserve(limits, limit, day, tx_ids, arm), until_s
                    )
                except AwayError:
                    return None

            for day, count in Counter(transactions[index].ts // DAY for index in indices).items():
                self._quota.count_decided(day, count, arm)
            pairs = [(transactions[index], assessments[index]) for index in indices]
            await reserve_quota(policy, pairs, reserve)


def _retrieve_exception(prefetched_state: PrefetchedState) -> None:
    """If no decision awaits the state, asyncio would log that its exception was never retrieved."""
    if not prefetched_state.cancelled():
        prefetched_state.exception()


def _reading_without_state(tx: Transaction) -> Reading:
    return Reading(
        features=vector(tx, {}, 0)[0],
        prefix=LogPrefix(slots={}, tail_from=[], tail_to=[]),
        staleness_ms=0.0,
        read_us=now_us(),
        stale=False,
        uncertain=False,
    )


@dataclass(frozen=True, slots=True)
class _CardBlocks:
    """The blocks of the cards of one batch."""

    of_each: Sequence[Block | None]
    labels_to: list[int]
    complete: bool
    """Whether the history's reports were known."""

    def noted(self, reading: Reading) -> Reading:
        """The reading, with the labels that were read for its block."""
        if not self.labels_to:
            return reading
        prefix = msgspec.structs.replace(reading.prefix, labels_to=self.labels_to)
        uncertain = reading.uncertain or not self.complete
        return msgspec.structs.replace(reading, prefix=prefix, uncertain=uncertain)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says of one transaction."""

    arm: Arm
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the decisions of one batch share."""

    policy_version: str
    roles: Roles
    via: Literal["stream", "http"]
    features_us: int
    scored_us: int


def _decision(
    item: Incoming,
    reading: Reading,
    scored: Scored,
    choice: Choice,
    block: Block | None,
    stage: _Stage,
) -> Decision:
    tx, arm, manifest = item.tx, scored.arm, scored.arm.model.manifest
    reasons = [] if choice.action == "approve" else arm.forest.reasons(reading.features)
    return Decision(
        tx_id=tx.tx_id,
        ts=tx.ts,
        card_id=tx.card_id,
        amount_cents=tx.amount_cents,
        merchant_id=tx.merchant_id,
        score=scored.score,
        action=choice.action,
        reasons=reasons,
        rule_hits=choice.rule_hits,
        model_version=manifest.version,
        policy_version=stage.policy_version,
        variant=arm.variant,
        stamps=Stamps(
            intended=tx.sent_at or item.received_us,
            received=item.received_us,
            state_read=reading.read_us,
            features=stage.features_us,
            scored=stage.scored_us,
            decided=now_us(),
            appended=item.appended_us,
            dequeued=item.dequeued_us,
        ),
        source_partition=item.partition,
        source_offset=item.offset,
        prefix=reading.prefix,
        staleness_ms=round(reading.staleness_ms, 3),
        features=as_list(reading.features),
        feature_hash=manifest.catalogue_hash,
        via=stage.via,
        stale=reading.stale,
        degraded=arm.variant == "fallback",
        uncertain=reading.uncertain,
        probability=scored.probability,
        held_back=choice.held_back,
        weight=choice.weight,
        propensities=list(choice.propensities),
        assignment=stage.roles.assignment_of(tx.card_id),
        channel=tx.channel,
        block=block,
        features_lag_ms=reading.lag_ms,
    )
