"""What an experiment does after a look: stay, go to the next stage, roll back, promote. Pure.

Rules, in this order: a card whose logged arm is not the hash's; a sample ratio that is not the set one; a
guard that is crossed; from 25 % on a net loss that is certainly higher. Each of these rolls back at any look.
A stage ends when its days are over; the last one promotes B only where money was tested and B is not worse.
"""

from typing import Final, NamedTuple

from msgspec.structs import replace

from lifecycle.evidence.card_tallies import CardTallies
from lifecycle.evidence.guards import read_guards
from lifecycle.evidence.money import MoneyReading, MoneyRule, read_money
from lifecycle.evidence.sample_ratio import mismatch
from lifecycle.experiment.state import ExperimentState, Step

DAY_MS: Final = 86_400_000
MARGIN: Final = 0.05
"""Share of A's net loss by which B may cost more and still be promoted."""


class Look(NamedTuple):
    """What has been seen of a stage by an event time."""

    now_ms: int
    tallies: CardTallies
    """Payments, answers, verdicts and reports since the stage began. In the shadow stage B's columns are what
    it would have done to A's cards, which then stand in both arms."""
    mature: CardTallies
    """Of payments old enough for net loss; `parted_loss` decides."""
    misassigned: int = 0
    """Cards that were decided by another arm than their hash says."""
    wall_ms: int = 0


def advance(state: ExperimentState, look: Look) -> ExperimentState:
    """The experiment after a look."""
    mixtures = dict(state.mixtures)
    readings = dict(read_guards(look.tallies, mixtures))
    money = _money(state, look, mixtures)
    state = replace(state, looks=state.looks + 1, mixtures=mixtures, guards=readings, money=money)
    trouble = _trouble(state, look)
    if trouble:
        return _ended(state, look, "rolled back", trouble)
    if look.now_ms < state.began_ms + state.current.days * DAY_MS:
        return state
    if state.stage + 1 < len(state.stages):
        return begin_stage(state, state.stage + 1, look)
    return _finish(state, look)


def begin_stage(state: ExperimentState, number: int, look: Look) -> ExperimentState:
    """The state at the start of a stage: what was seen before counts for nothing in it."""
    stage = state.stages[number]
    step = Step(event_ms=look.now_ms, wall_ms=look.wall_ms, stage=stage.name, what="begins")
    return replace(
        state, stage=number, began_ms=look.now_ms, mixtures={}, guards={}, money=None,
        steps=[*state.steps, step],
    )  # fmt: skip


def _trouble(state: ExperimentState, look: Look) -> str:
    """Why B must go; empty if nothing is wrong."""
    stage = state.current
    if look.misassigned:
        return f"{look.misassigned:,} cards were decided by another arm than their hash says"
    in_b = look.tallies.in_b
    of_b, of_a = int(in_b.sum()), int((~in_b).sum())
    if stage.share and mismatch(of_b, of_a, stage.share):
        return f"sample ratio: {of_b:,} cards in B and {of_a:,} in A, for a share of {stage.share:.2%}"
    crossed = [reading for reading in state.guards.values() if reading.crossed]
    if crossed:
        return f"guard crossed: {crossed[0].text}"
    if state.money is not None and state.money.tested and state.money.low > 0:
        return f"net loss is higher: {state.money.text}"
    return ""


def _money(state: ExperimentState, look: Look, mixtures: dict[str, float]) -> MoneyReading | None:
    """Net loss so far; None before any is mature."""
    stage = state.current
    if not stage.share:
        return None
    rule = MoneyRule(
        weeks=(look.now_ms - state.maturity_days * DAY_MS - state.began_ms) / (7 * DAY_MS),
        planned_weeks=(stage.days - state.maturity_days) / 7,
        tests=stage.tests_money,
        worth=state.worth,
        cap_cents=state.cap_cents,
    )
    return read_money(rule, look.mature, mixtures)


def _finish(state: ExperimentState, look: Look) -> ExperimentState:
    money = state.money
    if money is None or not money.tested:
        effect = "no net loss is mature" if money is None else money.text
        return _ended(state, look, "undecided", f"guards hold, money was not tested: {effect}")
    if money.high <= MARGIN * money.loss_of_a:
        return _ended(state, look, "promoted", f"not worse: {money.text}")
    return _ended(state, look, "undecided", f"not told apart: {money.text}")


def _ended(state: ExperimentState, look: Look, status: str, reason: str) -> ExperimentState:
    step = Step(event_ms=look.now_ms, wall_ms=look.wall_ms, stage=state.current.name, what=status)
    return replace(state, status=status, reason=reason, steps=[*state.steps, step])
