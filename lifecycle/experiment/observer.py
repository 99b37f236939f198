"""What a bank sees of a stage: decided payments and labels become tallies by card. Pure.

Net loss as a bank sees it, of payments of one age: fraud that was reported by then and had gone through,
step-ups and reviews, and what stopping costs if it was honest, by the champion's probability in both arms.
The last is an expectation: a bank does not see an insult.

The arms part on a card at its first payment that the other arm's model would have treated otherwise. Until
then the card's life is the same in both arms, and what it loses tells nothing of B: it is chance that both
have, and is left out of the difference (counterfactual triggering, Deng and Hu 2015). When a card parts does
not depend on its arm, and every card stays in the mean, so that the difference is still that of all cards.
"""

from collections import defaultdict
from typing import Final, NamedTuple

from fraudsim.log.events import Action, Label
from lifecycle.evidence.card_tallies import CardTallies

DAY_MS: Final = 86_400_000


class SeenPayment(NamedTuple):
    """A decided payment."""

    tx_id: str
    card: str
    ts: int
    in_b: bool
    action: Action
    blocked: bool
    can_hold: bool
    error: bool
    """Whether its card is B's, and B could not score it."""
    slow: bool | None
    """Whether its decision took longer than 50 ms; None where no time passes."""
    cents: float
    """Friction and expected insults."""
    true_cents: float
    """Net loss by the truth, where there is one."""
    differs: bool = False
    """Whether the other arm's model would have treated it otherwise, or may have: see `BothArms`."""


class StageObserver:
    """Payments and labels since a stage began.

    Args:
        maturity_days: age at which a payment counts for net loss.
        review_cents: price of a verdict.
    """

    def __init__(self, maturity_days: float, review_cents: float = 0.0) -> None:
        self._review_cents = review_cents
        self._maturity_ms = round(maturity_days * DAY_MS)
        self._parted_at: dict[str, int] = {}
        """Event time at which the arms parted, by card: in this stage or in an earlier one."""
        self._actions: dict[str, tuple[Action, bool]] = {}
        """Of payments that were alerts: their action, and whether a review could hold them."""
        self.restart(0)

    def restart(self, began_ms: int) -> None:
        """Begin a stage: earlier payments count for nothing, nor do their labels."""
        self._began_ms = began_ms
        self.tallies = CardTallies()
        self._mature = CardTallies()
        self._days: defaultdict[int, list[tuple[str, bool, float, float, float]]] = defaultdict(list)

    def add_payment(self, payment: SeenPayment) -> None:
        """Take in a decision."""
        if payment.differs:
            self.part(payment.card, payment.ts)
        if payment.ts < self._began_ms:
            return
        alert = payment.action != "approve" and not payment.blocked
        if alert:
            self._actions[payment.tx_id] = payment.action, payment.can_hold
        self.tallies.add(
            payment.card, payment.in_b,
            {
                "payments": 1.0,
                "declines": float(alert and payment.action == "decline"),
                "alerts": float(alert),
                "errors": float(payment.error),
                "timed": float(payment.slow is not None),
                "slow": float(bool(payment.slow)),
                "true_loss": payment.true_cents,
            },
        )  # fmt: skip
        self._add_money(payment.card, payment.in_b, payment.ts, payment.cents, payment.true_cents)

    def part(self, card: str, ts: int) -> None:
        """Note that the arms part on a card, unless they had before."""
        self._parted_at[card] = min(ts, self._parted_at.get(card, ts))

    def add_shadow(self, card: str, ts: int, action: Action | None) -> None:
        """Take in what B would have done to a card of A's; None where it could not score it."""
        if ts < self._began_ms:
            return
        flagged = action not in (None, "approve")
        counts = {
            "payments": 1.0, "declines": float(action == "decline"), "alerts": float(flagged),
            "errors": float(action is None),
        }  # fmt: skip
        self.tallies.add(f"shadow of {card}", True, counts)

    def add_label(self, label: Label) -> None:
        """Take in an answer, a verdict or a report on a payment of this stage."""
        if label.ts < self._began_ms or label.card_id not in self.tallies:
            return
        in_b = bool(self.tallies.arm_of(label.card_id))
        action, can_hold = self._actions.get(label.tx_id, ("approve", False))
        if label.source == "analyst":
            self._add_money(label.card_id, in_b, label.ts, self._review_cents, 0.0)
            self.tallies.add(label.card_id, in_b, {"verdicts": 1.0, "cleared": float(not label.is_fraud)})
        elif action == "step_up":
            self.tallies.add(label.card_id, in_b, {"step_ups": 1.0, "denials": float(label.is_fraud)})
        stopped = action in ("step_up", "decline") or (action == "review" and can_hold)
        if label.is_fraud and not stopped:
            self.tallies.add(label.card_id, in_b, {"reports": 1.0})
            if label.known_at - label.ts <= self._maturity_ms:
                self._add_money(label.card_id, in_b, label.ts, float(label.amount_cents), 0.0)

    def _add_money(self, card: str, in_b: bool, ts: int, cents: float, true_cents: float) -> None:
        parted_at = self._parted_at.get(card)
        parted = float(parted_at is not None and parted_at <= ts)
        self._days[(ts - self._began_ms) // DAY_MS].append((card, in_b, cents, true_cents, parted))
        self.tallies.add(card, in_b, {"loss": cents})

    def mature(self, now_ms: int) -> CardTallies:
        """The cards' net loss on the days of the stage that are old enough by now."""
        last = (now_ms - self._maturity_ms - self._began_ms) // DAY_MS
        for day in sorted(day for day in self._days if day < last):
            for card, in_b, cents, true_cents, parted in self._days.pop(day):
                self._mature.add(
                    card, in_b,
                    {
                        "loss": cents, "parted_loss": parted * cents, "true_loss": true_cents,
                        "parted": parted,
                    },
                )  # fmt: skip
        return self._mature
