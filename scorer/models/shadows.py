"""Shadow models: score again what the champion decided, after it has gone out, and count where they differ.

What waits is bounded, and so is the share of the event loop that they take: under load they see fewer
decisions, and nobody waits longer for one.
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
from scorer.policy.served import ServedPolicy
from stream_features.kernels.state import Vector
from stream_features.vector import as_vector

MOST: Final = 2_000
"""Decisions that wait at most; what comes beyond is dropped and counted."""
SLICE: Final = 16
"""Decisions scored in one go, within which nothing else is done: some 0.3 ms for each shadow."""
REST: Final = 4
"""Times as long as a slice took, the loop is left to others: shadows take a fifth of it at most."""


HEAD_START_S: Final = 0.01
"""For a decision to go out on the wire, and for others to come that are scored with it."""


@dataclass(slots=True)
class Tally:
    """One shadow beside the champion, since this process serves it."""

    pairs: Counter[tuple[Action, Action]] = field(default_factory=Counter)
    """Decisions by what the champion wanted and what the shadow wanted, before limits and exploration."""
    difference: float = 0.0
    """Sum of the shadow's scores less the champion's."""

    @property
    def compared(self) -> int:
        return self.pairs.total()

    @property
    def agreed(self) -> int:
        return sum(count for (champion, shadow), count in self.pairs.items() if champion == shadow)


class Shadows:
    """Takes what was decided, and compares it in its own time."""

    def __init__(self, models: ServedModel, policy: ServedPolicy) -> None:
        self._models = models
        self._policy = policy
        self._waiting: deque[tuple[Transaction, Decision]] = deque()
        self._arrived = asyncio.Event()
        self._tallies: dict[str, Tally] = {}
        self.dropped = 0

    @property
    def tallies(self) -> dict[str, Tally]:
        """By version, of the shadows that there are now."""
        versions = [model.version for model in self._models.lineup.shadows]
        return {version: self._tallies.get(version, Tally()) for version in versions}

    def offer(self, tx: Transaction, decision: Decision) -> None:
        """Have a decision compared that has gone out; never waits. A challenger's or degraded one is not."""
        lineup = self._models.lineup
        if not lineup.shadows or decision.degraded or decision.model_version != lineup.champion.version:
            return
        if len(self._waiting) >= MOST:
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
                self.compare_some()
                await asyncio.sleep(REST * (time.perf_counter() - started))

    def compare_some(self) -> None:
        """Compare the next slice of what waits."""
        policy, shadows = self._policy.policy, self._models.lineup.shadows
        some = [self._waiting.popleft() for _ in range(min(SLICE, len(self._waiting)))]
        champion = self._models.lineup.champion
        some = [each for each in some if each[1].model_version == champion.version]  # else it was exchanged
        if not some:
            return
        rows = np.stack([as_vector(decision.features) for _, decision in some])
        wanted = [
            self._wanted(policy, champion, tx, row, decision.score)
            for (tx, decision), row in zip(some, rows, strict=True)
        ]
        for shadow in shadows:
            self._compare(shadow, policy, some, rows, wanted)

    def _compare(
        self,
        shadow: Model,
        policy: Policy,
        some: Sequence[tuple[Transaction, Decision]],
        rows: Matrix,
        wanted: Sequence[Action],
    ) -> None:
        tally = self._tallies.setdefault(shadow.version, Tally())
        difference = metrics.SHADOW_DIFFERENCE.labels(shadow.version)
        scores = shadow.serving.predict(rows).tolist()
        for (tx, decision), row, score, by_champion in zip(some, rows, scores, wanted, strict=True):
            by_shadow = self._wanted(policy, shadow, tx, row, score)
            tally.pairs[by_champion, by_shadow] += 1
            tally.difference += score - decision.score
            difference.observe(score - decision.score)
            metrics.SHADOW_DECISIONS.labels(shadow.version, by_champion, by_shadow).inc()

    def _wanted(self, policy: Policy, model: Model, tx: Transaction, row: Vector, score: float) -> Action:
        """The action that a score comes to before any limit of the day and before exploration.

        Asked anew for the champion too, so that both are judged by one policy and nobody's luck.
        """
        probability = model.manifest.to_probability.probability(score)
        opinion = policy.consider(
            tx, row, score, probability, "champion", model.thresholds, self._policy.rule_failed
        )
        return ACTIONS[opinion.wanted]
