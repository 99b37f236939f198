"""What a scorer beside the line decided of the same payments, with features as old as a batch's. Pure."""

from typing import Any, Final

import msgspec

from dashboards.outcomes import AwaitedDecision
from dashboards.page.counts.money import LiveLedger
from fraudsim.archive.first_decisions import FirstDecisions
from producers.labels.consequences import Consequences
from producers.ledger.ledger import CampaignAccount


class _LaggedDecision(AwaitedDecision, frozen=True, kw_only=True, gc=False):
    via: str = "stream"
    features_lag_ms: int = 0
    stale: bool = False


_decode: Final = msgspec.json.Decoder(_LaggedDecision).decode


class Beside:
    """The ledger of decisions that nobody acts on: an open loop, as payments and labels follow the line."""

    def __init__(self, rules: Consequences, seed: int, cards: int | None) -> None:
        self.money = LiveLedger(rules, seed, cards)
        self.decided = 0
        self.stale = 0
        """Decided so late that the features were not those of the payment's time, as after a late start."""
        self.lag_ms = 0
        self._first = FirstDecisions()

    def add_decision(self, record: Any, now_s: float) -> None:
        """Add a record of `decisions.lagged`. Raises what msgspec raises for one that cannot be read."""
        decision = _decode(record.value or b"")
        if not self._first.is_first(record.partition, decision.source_offset) or decision.via != "stream":
            return
        self.decided += 1
        self.stale += decision.stale
        self.lag_ms = max(self.lag_ms, decision.features_lag_ms)
        self.money.add_decisions((decision,), now_s)

    def campaign(self, campaign_id: str) -> CampaignAccount | None:
        """What it would have stopped of a campaign; None where it has decided none of it."""
        return self.money.by_truth.campaigns.get(campaign_id)
