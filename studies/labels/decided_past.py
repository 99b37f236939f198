"""A history whose second half somebody has decided: a bank knows nothing of what it stopped.

The first half trains a first model; that decides the second half, of the same payments whatever it does,
under a policy. What is left is what a bank has to train the next model on: the payments, which of them were
stopped, and the labels that could still come.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Flags, Ints
from fraudsim.errors import InvariantError
from fraudsim.log.events import MAX_AMOUNT_CENTS, Label
from model.artefact.costs import Costs
from producers.labels.consequences import Consequences
from scorer.policy.policy import ActBy, ByExpectedCost, Exploration, Policy, Variant
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.line.traffic import SimulatedTraffic, Stretch, world_traffic
from simulator.regimes import REGIMES
from studies.labels.plan import PastPolicy

REAL_TIME: Final = REGIMES["real-time"]
PROHIBITIVE_CENTS: Final = 1e9
"""A step-up or a review at this price is never made."""
SALT: Final = "study"


def policy_of_past(past: PastPolicy, policy: Policy) -> Policy:
    """A policy changed to that of a past."""
    exploration = Exploration(past.explored, SALT, MAX_AMOUNT_CENTS) if past.explored else Exploration()
    if not past.only_declines:
        return replace(policy, exploration=exploration)
    costs = Costs(step_up_cost_cents=PROHIBITIVE_CENTS, review_cost_cents=PROHIBITIVE_CENTS)
    act_by: dict[Variant, ActBy] = dict.fromkeys(policy.act_by, ByExpectedCost(costs))
    return replace(policy, act_by=act_by, exploration=exploration, rules=())


class DecidedPast(NamedTuple):
    """What a bank has after it decided the second half; arrays have one entry per payment of the history."""

    stopped: Flags
    unlabelled: Flags
    """Stopped, and nobody said whether it was fraud."""
    weight: Ints
    """1 over the chance with which a decline was let through, whole; 1 where chance had no part."""
    labels: pa.Table
    """All that it has or will have on these payments."""
    net_loss_rate: int
    """Of the second half, cents per 1,000 cards and week."""


@dataclass(frozen=True)
class MiddleTraffic(SimulatedTraffic):
    """The days of a world from `first_day` on, whatever its history's length."""

    first_day: int = 0

    def stretches(self) -> Iterator[Stretch]:
        """The payments in order of time."""
        assert self.world is not None
        return world_traffic(self.world, self.first_day, self.days, self.stretch_days)


def middle_of(traffic: SimulatedTraffic, history_days: int) -> MiddleTraffic:
    """The second half of a traffic's history as traffic after its first."""
    assert traffic.world is not None
    first_day = history_days // 2
    cut_ms = traffic.world.day_start_ms(first_day)
    past, labels = traffic.past, traffic.labels_before
    return MiddleTraffic(
        start_ms=cut_ms,
        past=past.filter(pc.less(past["ts"], cut_ms)),
        labels_before=labels.filter(pc.less(labels["ts"], cut_ms)),
        world=traffic.world,
        seed=traffic.seed,
        longest_days=traffic.longest_days,
        cards=traffic.cards,
        days=history_days - first_day,
        history=traffic.history,
        first_day=first_day,
    )


def decide_past(
    traffic: SimulatedTraffic, history_days: int, scoring: Scoring, rules: Consequences
) -> DecidedPast:
    """Decide the second half of a history; campaigns do not react: its payments stay what they are."""
    middle = middle_of(traffic, history_days)
    line = SimulatedLine(middle, REAL_TIME, scoring, rules, reacting=False)
    parts = list(line.run())
    ids = traffic.past["tx_id"]
    before = middle.past.num_rows
    stopped = np.concatenate([np.zeros(before, np.bool_), *(~part.paid for part in parts)])
    weight = np.concatenate([np.ones(before, np.int64), *(_weights(part) for part in parts)])
    if len(stopped) != len(ids):
        raise InvariantError(f"{len(stopped)} decided payments of a history of {len(ids)}")
    heard = [label for part in parts for label in part.labels]
    labels = _labels_left(traffic, middle.start_ms, ids.filter(pa.array(stopped)), heard)
    labelled = pc.is_in(ids, value_set=pa.array(labels["tx_id"].to_pylist(), pa.string()))
    unlabelled = stopped & ~np.asarray(labelled.to_numpy(), np.bool_)
    return DecidedPast(stopped, unlabelled, weight, labels, line.ledger.net_loss_rate)


def _weights(part: DecidedStretch) -> Ints:
    weight = np.ones(len(part.stretch), np.int64)
    for row, choice in part.choices.items():
        if "exploration" in choice.held_back:
            weight[row] = round(choice.weight)
    return weight


def _labels_left(
    traffic: SimulatedTraffic, from_ms: int, stopped: pa.ChunkedArray, heard: list[Label]
) -> pa.Table:
    """The labels known before, those heard while it was decided, and the world's that can still come."""
    labels = traffic.labels_before
    before = labels.filter(pc.less(labels["known_at"], from_ms))
    later = labels.filter(pc.greater_equal(labels["known_at"], traffic.start_ms))
    gone = pc.is_in(later["tx_id"], value_set=pa.array(stopped.to_pylist(), pa.string()))
    new = pa.Table.from_pylist([msgspec.structs.asdict(label) for label in heard], schema=labels.schema)
    return pa.concat_tables([before, new, later.filter(pc.invert(gone))])
