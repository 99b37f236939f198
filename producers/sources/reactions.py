"""How people react to what stops their payments: campaigns by typology, honest customers by shares. Data.

All shares are assumptions. Every draw belongs to the seed and to an id.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from producers.labels.consequences import MINUTE_MS, Consequences
from producers.labels.outcome import Stop
from producers.rng import chance

Reaction = Literal["lower", "elsewhere", "move_on", "persist", "end"]
"""Lower amounts, another merchant, another card, no change, no further payment."""
Shares = Mapping[Reaction, float]

RETRY_SUFFIX: Final = "-retry"
RETRY_MINUTES: Final = (2.0, 30.0)
"""Event time after which an honest customer tries again."""
LOWERED_RETRIES: Final = 0.5
"""Share of the retries that are of a lower amount; the others repeat the payment."""


@dataclass(frozen=True)
class TypologyReactions:
    """What the campaigns of a typology do, by what stopped them; shares of the campaigns, to 1 each."""

    decline: Shares
    step_up: Shares
    """Denied or unanswered."""
    review: Shares
    """Held, and stopped by the analyst."""
    block: Shares
    patience: int = 3
    """Stops after which the most patient campaigns react; the least patient react after one. To a block all
    react at once."""
    by_card: bool = False
    """Whether each card of the campaign is given up or changed by itself; else the campaign as a whole."""

    def to(self, stop: Stop) -> Shares:
        """The shares for what stopped a payment."""
        if stop == "decline":
            return self.decline
        if stop == "review":
            return self.review
        return self.block if stop == "block" else self.step_up


_END: Final[Shares] = {"end": 1.0}
_ON_TO_NEXT: Final[Shares] = {"move_on": 0.9, "end": 0.1}
_DROP_OR_ELSEWHERE: Final[Shares] = {"elsewhere": 0.5, "end": 0.5}

REACTIONS: Final[Mapping[str, TypologyReactions]] = {
    # Stolen numbers are cheap: the tester goes on with the next.
    "card_testing": TypologyReactions(
        decline={"move_on": 0.7, "elsewhere": 0.2, "end": 0.1}, step_up=_ON_TO_NEXT, review=_ON_TO_NEXT,
        block=_ON_TO_NEXT,
    ),
    "bin_attack": TypologyReactions(
        decline={"elsewhere": 0.3, "persist": 0.5, "end": 0.2}, step_up=_END, review=_END, block=_END,
        patience=1, by_card=True,
    ),
    # One good number: amounts and shops are varied before it is given up.
    "leaked_card": TypologyReactions(
        decline={"lower": 0.4, "elsewhere": 0.3, "move_on": 0.2, "end": 0.1},
        step_up={"elsewhere": 0.4, "move_on": 0.4, "end": 0.2}, review={"move_on": 0.5, "end": 0.5},
        block={"move_on": 0.5, "end": 0.5},
    ),
    "compromised_merchant": TypologyReactions(
        decline={"lower": 0.3, "elsewhere": 0.3, "end": 0.4}, step_up=_DROP_OR_ELSEWHERE, review=_END,
        block=_END, patience=2, by_card=True,
    ),
    "device_ring": TypologyReactions(
        decline=_DROP_OR_ELSEWHERE, step_up=_END, review=_END, block=_END, patience=2, by_card=True
    ),
    # With the card in hand: a smaller sum, another shop, or away.
    "lost_card": TypologyReactions(
        decline={"lower": 0.4, "elsewhere": 0.3, "end": 0.3}, step_up={"elsewhere": 0.4, "end": 0.6},
        review=_END, block=_END, patience=2,
    ),
    "impossible_travel": TypologyReactions(
        decline={"lower": 0.2, "elsewhere": 0.4, "end": 0.4}, step_up={"elsewhere": 0.4, "end": 0.6},
        review=_END, block=_END, patience=2,
    ),
    # The account is burnt once its owner is asked.
    "account_takeover": TypologyReactions(
        decline={"lower": 0.5, "end": 0.5}, step_up={"lower": 0.3, "end": 0.7},
        review={"elsewhere": 0.5, "end": 0.5}, block=_END, patience=2,
    ),
    "merchant_collusion": TypologyReactions(
        decline={"lower": 0.5, "end": 0.5}, step_up=_END, review=_END, block=_END, patience=2, by_card=True
    ),
    # The victim pays, and is talked into trying again, until a denial or an analyst's call breaks the spell.
    "push_scam": TypologyReactions(
        decline={"lower": 0.5, "persist": 0.3, "end": 0.2}, step_up={"persist": 0.4, "end": 0.6},
        review={"persist": 0.4, "end": 0.6}, block=_END,
    ),
    # The owner, who meant to have it for nothing.
    "friendly_fraud": TypologyReactions(
        decline={"persist": 0.5, "end": 0.5}, step_up={"persist": 0.5, "end": 0.5}, review=_END, block=_END,
        patience=1,
    ),
    "slow_drip": TypologyReactions(
        decline={"elsewhere": 0.4, "move_on": 0.4, "end": 0.2}, step_up=_ON_TO_NEXT, review=_ON_TO_NEXT,
        block={"move_on": 0.5, "end": 0.5},
    ),
    "refund_abuse": TypologyReactions(
        decline={"lower": 0.3, "end": 0.7}, step_up=_END, review=_END, block=_END, patience=2, by_card=True
    ),
}  # fmt: skip
OTHERS: Final = TypologyReactions(
    decline={"lower": 0.4, "elsewhere": 0.25, "move_on": 0.2, "end": 0.15},
    step_up={"elsewhere": 0.3, "move_on": 0.3, "end": 0.4}, review=_END, block={"move_on": 0.5, "end": 0.5},
)  # fmt: skip
"""Of typologies that the table does not name."""


def reactions_of(typology: str | None) -> TypologyReactions:
    """The table's entry of a typology."""
    return REACTIONS.get(typology or "", OTHERS)


def reaction_of(unit: str, table: TypologyReactions, stop: Stop, seed: int) -> Reaction:
    """What a campaign (or a card of one) does; the same draw whatever stops it."""
    draw = chance(seed, "way", unit)
    shares = table.to(stop)
    for reaction, share in shares.items():
        if draw < share:
            return reaction
        draw -= share
    return [*shares][-1]  # the shares' sum may fall short of 1 by rounding


def patience_of(unit: str, table: TypologyReactions, stop: Stop, seed: int) -> int:
    """Stops after which a campaign reacts."""
    return 1 if stop == "block" else 1 + int(chance(seed, "patience", unit) * table.patience)


def does_react(campaign_id: str, rules: Consequences, seed: int) -> bool:
    """Whether a campaign reacts at all."""
    return chance(seed, "reacts", campaign_id) < rules.campaigns_react


def retry_ms(tx_id: str, final_ms: int, seed: int) -> int:
    """Event time at which an honest customer tries a stopped payment again."""
    low, high = RETRY_MINUTES
    return final_ms + round((low + (high - low) * chance(seed, "retry", tx_id)) * MINUTE_MS)


def lowers_retry(tx_id: str, seed: int) -> bool:
    """Whether that is for a lower amount."""
    return chance(seed, "retry-lower", tx_id) < LOWERED_RETRIES
