"""Shadow models: score again what the champion decided, after the decision went out, and count differences.

The queue is bounded, and so is the share of the event loop that shadows take: under load they see fewer
decisions, and no decision is delayed.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fraudsim import metrics
from fraudsim.log.events import ACTIONS, Action, Decision, Transaction
from model.artefact.model import Model
from model.forest.forest import Matrix
from scorer.models.served import ServedModel
from scorer.policy.policy import Policy
from scorer.policy.rules import RuleInput
from scorer.policy.served import ServedPolicy
from stream_features.kernels.state import Vector
from stream_features.vector import as_vector

MAX_WAITING: Final = 2_000
"""Decisions that wait at most; those beyond are dropped and counted."""
SLICE: Final = 16
"""Decisions scored without yielding the event loop: some 0.3 ms for each shadow."""
REST: Final = 4
"""Multiple of a slice's duration for which the loop is left to others: shadows take at most a fifth of it."""
HEAD_START_S: Final = 0.01
"""Time for a decision to go out on the wire, and for others to arrive that are scored with it."""


@dataclass(slots=True)
class ShadowTally:
    """One shadow beside the champion, counted since this process serves it."""

    pairs: Counter[tuple[Action, Action]] = field(default_factory=Counter)
    """Decisions by (champion's action, shadow's action), before limits and exploration."""
    difference: float = 0.0
    """Sum of the shadow's scores less the champion's."""

    @property
    def compared(self) -> int:
        return self.pairs.total()

    @property
    def agreed(self) -> int:
        return sum(count for (champion, shadow), count in self.pairs.items() if champion == shadow)


class Shadows:
    """Queues decisions and compares them in the background."""

    def __init__(self, models: ServedModel, policy: ServedPolicy) -> None:
        self._models = models
        self._policy = policy
        self._waiting: deque[tuple[Transaction, Decision]] = deque()
        self._arrived = asyncio.Event()
        self._tallies: dict[str, ShadowTally] = {}
        self.dropped = 0

    @property
    def tallies(self) -> dict[str, ShadowTally]:
        """By version, of the present shadows."""
        versions = [model.version for model in self._models.roles.shadows]
        return {version: self._tallies.get(version, ShadowTally()) for version in versions}

    def offer(self, tx: Transaction, decision: Decision) -> None:
        """Queue a decision that went out; never waits. Challengers' and degraded decisions are ignored."""
        roles = self._models.roles
        if not roles.shadows or decision.degraded or decision.model_version != roles.champion.version:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            metrics.SHADOW_DROPPED.inc()
            return
        self._waiting.append((tx, decision))
        self._arrived.set()

    async def run(self) -> None:
        """Compare for ever, a slice at a time."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(HEAD_START_S)
            self._arrived.clear()
            while self._waiting:
                started = time.perf_counter()
                self.compare_next()
                await asyncio.sleep(REST * (time.perf_counter() - started))

    def compare_next(self) -> None:
        """Compare the next slice of the queue."""
        policy, shadows = self._policy.policy, self._models.roles.shadows
        queued = [self._waiting.popleft() for _ in range(min(SLICE, len(self._waiting)))]
        champion = self._models.roles.champion
        # Without decisions of a champion that has been exchanged since.
        pairs = [pair for pair in queued if pair[1].model_version == champion.version]
        if not pairs:
            return
        rows = np.stack([as_vector(decision.features) for _, decision in pairs])
        champion_actions = [
            self._preferred_action(policy, champion, tx, row, decision.score)
            for (tx, decision), row in zip(pairs, rows, strict=True)
        ]
        for shadow in shadows:
            self._compare(shadow, policy, pairs, rows, champion_actions)

    def _compare(
        self,
        shadow: Model,
        policy: Policy,
        pairs: Sequence[tuple[Transaction, Decision]],
        rows: Matrix,
        champion_actions: Sequence[Action],
    ) -> None:
        tally = self._tallies.setdefault(shadow.version, ShadowTally())
        difference = metrics.SHADOW_DIFFERENCE.labels(shadow.version)
        scores = shadow.serving.predict(rows).tolist()
        for (tx, decision), row, score, champion_action in zip(
            pairs, rows, scores, champion_actions, strict=True
        ):
            shadow_action = self._preferred_action(policy, shadow, tx, row, score)
            tally.pairs[champion_action, shadow_action] += 1
            tally.difference += score - decision.score
            difference.observe(score - decision.score)
            metrics.SHADOW_DECISIONS.labels(shadow.version, champion_action, shadow_action).inc()

    def _preferred_action(
        self, policy: Policy, model: Model, tx: Transaction, row: Vector, score: float
    ) -> Action:
        """The action of a score, before daily limits and exploration.

        Computed again for the champion too, so that both are compared under one policy and without chance.
        """
        probability = model.manifest.to_probability.probability(score)
        assessment = policy.assess(
            RuleInput(tx, row, score, probability), "champion", model.thresholds, self._policy.rule_failed
        )
        return ACTIONS[assessment.preferred]
