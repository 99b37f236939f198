"""What an outcome costs, by kind; the policy's expected costs are its expectation. Pure."""

from typing import NamedTuple

from producers.labels.consequences import Consequences
from producers.labels.outcome import Outcome


class Price(NamedTuple):
    """Cents by kind; whole cents."""

    fraud_paid: int = 0
    insult: int = 0
    friction: int = 0
    review: int = 0

    @property
    def total(self) -> int:
        return sum(self)


def price_of(outcome: Outcome, amount_cents: int, is_fraud: bool, rules: Consequences) -> Price:
    """The price of one outcome.

    - fraud_paid: the amount of a fraud that went through.
    - insult: of an honest payment that did not go through; less where a block stopped it.
    - friction: of a step-up, and of holding an honest payment.
    - review: of the analyst's time.
    """
    insult = rules.insult_cents(amount_cents) if outcome.insult else 0.0
    if outcome.stopped_by == "block":
        insult *= rules.block_insult_share
    friction = rules.step_up_cost_cents if outcome.challenged else 0.0
    if outcome.held_ms and not is_fraud:
        friction += rules.hold_cost_cents
    return Price(
        fraud_paid=amount_cents if is_fraud and outcome.paid else 0,
        insult=round(insult),
        friction=round(friction),
        review=round(rules.analyst_hour_cents * outcome.review_minutes / 60),
    )
