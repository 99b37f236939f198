"""The ledger of a run: its entries summed, as a whole and by action, typology and campaign. Pure."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from producers.ledger.account import Account, Basis, Tally
from producers.ledger.entry import Entry

View = Literal["truth", "labels"]
"""By what a payment counts as fraud: the truth, which only experiments have, or labels, as a bank has."""


class CampaignAccount(msgspec.Struct):
    """One fraud campaign."""

    campaign_id: str
    typology: str
    first_ms: int
    """Event time of its first payment."""
    account: Account
    first_stop_ms: int | None = None
    """Event time of its first payment that was stopped."""
    cards: set[str] = msgspec.field(default_factory=set)


class Ledger(msgspec.Struct):
    """The sums of a run."""

    view: View
    basis: Basis
    total: Account = msgspec.field(default_factory=Account)
    by_action: dict[str, Account] = msgspec.field(default_factory=dict)
    """By the decision's action; `block` for those of blocked cards."""
    by_typology: dict[str, Account] = msgspec.field(default_factory=dict)
    campaigns: dict[str, CampaignAccount] = msgspec.field(default_factory=dict)

    @property
    def net_loss_rate(self) -> int:
        """The headline: net loss in cents per 1,000 cards and week."""
        return self.basis.rate(self.total.net_loss_cents)

    def add(self, entry: Entry) -> None:
        """Take in an entry."""
        self.total.add(entry)
        action = "block" if entry.outcome.stopped_by == "block" else entry.payment.action
        self.by_action.setdefault(action, Account()).add(entry)
        if entry.fraud is None:
            return
        self.by_typology.setdefault(entry.fraud.typology, Account()).add(entry)
        if entry.fraud.campaign_id:
            self._add_to_campaign(entry, entry.fraud.typology, entry.fraud.campaign_id)

    def add_approved(self, payments: int, cents: int) -> None:
        """Take in honest payments that were approved, by number and amount: as `add` of each."""
        for account in (self.total, self.by_action.setdefault("approve", Account())):
            account.payments.merge(Tally(payments, cents))

    def _add_to_campaign(self, entry: Entry, typology: str, campaign_id: str) -> None:
        ts = entry.payment.ts
        campaign = self.campaigns.get(campaign_id)
        if campaign is None:
            campaign = self.campaigns[campaign_id] = CampaignAccount(campaign_id, typology, ts, Account())
        campaign.account.add(entry)
        campaign.cards.add(entry.payment.card_id)
        campaign.first_ms = min(campaign.first_ms, ts)
        if not entry.outcome.paid:
            campaign.first_stop_ms = min(ts, campaign.first_stop_ms or ts)


def ledger_of(entries: Iterable[Entry], basis: Basis, view: View = "truth") -> Ledger:
    """The ledger of all entries of a run."""
    ledger = Ledger(view, basis)
    for entry in entries:
        ledger.add(entry)
    return ledger


def parts_of(account: Account, basis: Basis) -> Mapping[str, int]:
    """The parts of the headline, cents per 1,000 cards and week. Each is rounded by itself."""
    return {
        "fraud paid": basis.rate(account.fraud_paid_cents),
        "insults": basis.rate(account.insult_cents),
        "friction": basis.rate(account.friction_cents),
        "reviews": basis.rate(account.review_cents),
    }
