"""An experiment over weeks of event time in seconds: stages, looks and rollback on the fast-forward."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fraudsim.log.events import ACTIONS
from lifecycle.evidence.money import OfflineGain
from lifecycle.experiment.both_arms import BothAnswers, BothArms
from lifecycle.experiment.card_assignment import CardAssignment
from lifecycle.experiment.controller import Look, advance, begin_stage
from lifecycle.experiment.observer import SeenPayment, StageObserver
from lifecycle.experiment.replayed_gain import ReplayedGain
from lifecycle.experiment.stages import MATURITY_DAYS, STAGES, WORTH, Stage
from lifecycle.experiment.state import ExperimentState
from producers.labels.consequences import Consequences
from producers.ledger.ledger import Ledger
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import PaymentColumns, Scoring
from simulator.line.split_scoring import SplitScoring
from simulator.line.traffic import SimulatedTraffic
from simulator.regimes import REGIMES


@dataclass(frozen=True)
class ExperimentPlan:
    """Stages and rules of a simulated experiment."""

    salt: str = "experiment"
    stages: tuple[Stage, ...] = STAGES
    maturity_days: float = MATURITY_DAYS
    worth: float = WORTH


@dataclass(frozen=True, eq=False)
class ExperimentRun:
    """What became of a simulated experiment."""

    state: ExperimentState
    ledger: Ledger
    """Of the whole line, by the truth."""
    days: int
    true_loss: tuple[float, float]
    """Net loss of A's and of B's cards in all live stages, by the truth, cents."""
    card_days: tuple[float, float]
    offline: OfflineGain
    """B's answers to what A decided, by the truth."""


def run_experiment(
    traffic: SimulatedTraffic,
    champion: Scoring,
    challenger: Scoring,
    rules: Consequences,
    plan: ExperimentPlan,
    on_look: Callable[[ExperimentState], None] = lambda _: None,
) -> ExperimentRun:
    """Run an experiment until it ends or the traffic does; it is looked at once a day."""
    assignment = CardAssignment(plan.salt)
    split = SplitScoring(champion, challenger, assignment)
    line = SimulatedLine(
        replace(traffic, stretch_days=1), REGIMES["real-time"], split, rules,
        reacting=traffic.world is not None,
    )  # fmt: skip
    both, replayed = BothArms(champion, challenger), ReplayedGain(rules)
    observer = StageObserver(plan.maturity_days, rules.review_cost_cents)
    state = ExperimentState(
        champion=champion.arm.model_version, challenger=challenger.arm.model_version, salt=plan.salt,
        stages=plan.stages, maturity_days=plan.maturity_days, worth=plan.worth, began_ms=traffic.start_ms,
    )  # fmt: skip
    empty = Look(traffic.start_ms, observer.tallies, observer.tallies)
    state = begin_stage(state, 0, empty)
    observer.restart(traffic.start_ms)
    assignment.change_share(plan.stages[0].share)
    days, losses, card_days = 0, np.zeros(2), np.zeros(2)
    for decided in line.run():
        days += 1
        end_ms = decided.stretch.end_ms
        rows = np.flatnonzero(decided.present)
        answers = both.ask(
            decided.vectors[rows], PaymentColumns.of(decided.stretch.transactions), rows,
            decided.transaction, decided.blocks,
        )  # fmt: skip
        replayed.add_day(
            decided, rows, answers, ~split.rows_of_challenger(decided.stretch.transactions)[rows]
        )
        _observe(decided, observer, split, answers, rules, shadow=not assignment.share)
        before = state
        state = advance(state, Look(end_ms, observer.tallies, observer.mature(end_ms)))
        on_look(state)
        if state.stage == before.stage and state.running:
            continue
        if before.current.share:
            in_b, loss = observer.tallies.in_b, observer.tallies["true_loss"]
            span = (end_ms - before.began_ms) / 86_400_000
            losses += (loss[~in_b].sum(), loss[in_b].sum())
            card_days += ((~in_b).sum() * span, in_b.sum() * span)
        if not state.running:
            break
        observer.restart(end_ms)
        assignment.change_share(state.current.share)
    return ExperimentRun(
        state, line.ledger, days, (float(losses[0]), float(losses[1])),
        (float(card_days[0]), float(card_days[1])), replayed.gain(),
    )  # fmt: skip


def _observe(
    decided: DecidedStretch,
    observer: StageObserver,
    split: SplitScoring,
    answers: BothAnswers,
    rules: Consequences,
    *,
    shadow: bool,
) -> None:
    """Take in a day; `answers` says what both models would do with each payment that was made."""
    table = decided.stretch.transactions
    columns = PaymentColumns.of(table)
    in_b = split.rows_of_challenger(table)
    unusable = split.take_unusable()
    rows = np.flatnonzero(decided.present)
    expected = _expected_insults(decided, split, columns, rules)
    cents = decided.prices[:, 2] + expected
    true_cents = decided.prices.sum(axis=1)
    differ = answers.differ & (not shadow)
    for index, row in enumerate(rows.tolist()):
        tx = decided.transaction(row)
        failed = in_b[row] and unusable.get(tx.card_id, 0) > 0
        if failed:
            unusable[tx.card_id] -= 1
        observer.add_payment(
            SeenPayment(
                tx.tx_id, tx.card_id, tx.ts, bool(in_b[row]), ACTIONS[decided.action[row]],
                row in decided.blocks, bool(columns.can_hold[row]), bool(failed), None, float(cents[row]),
                float(true_cents[row]), bool(differ[index]),
            )
        )  # fmt: skip
        if shadow and row not in decided.blocks:
            usable = answers.usable[index]
            observer.add_shadow(tx.card_id, tx.ts, ACTIONS[answers.b[index]] if usable else None)
    for label in decided.labels:
        observer.add_label(label)


def _expected_insults(
    decided: DecidedStretch, split: SplitScoring, columns: PaymentColumns, rules: Consequences
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """By row, what stopping the payment costs if it was honest, by the champion's probability that it was."""
    expected = np.zeros(len(decided.action))
    stopped = np.flatnonzero(~decided.paid & decided.present)
    if len(stopped):
        honest = 1 - split.champion_probabilities(decided.vectors[stopped], columns, stopped)
        fixed, share = rules.insult_fixed_cents, rules.insult_amount_share
        expected[stopped] = honest * (fixed + share * decided.amount[stopped])
        blocked = [row for row in stopped.tolist() if row in decided.blocks]
        expected[blocked] *= rules.block_insult_share
    return expected
