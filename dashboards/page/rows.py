"""The rows of the page's tables, as data; without the truth nothing of it is in there. Pure."""

from itertools import islice
from typing import Any, Final

from dashboards.page.counts.calibration import Band
from dashboards.page.counts.control_list import ShownControl
from dashboards.page.counts.run_state import RunState
from dashboards.page.counts.seen_decision import FLAGS, SeenDecision
from dashboards.page.figures import event_text
from producers.ledger.ledger import CampaignAccount

CAMPAIGNS: Final = 12
"""Campaigns, and cards with reports, that are shown."""


def decision_row(decision: SeenDecision, state: RunState, truth: bool) -> dict[str, Any]:
    shown = {
        "tx_id": decision.tx_id,
        "time": event_text(decision.ts),
        "card": decision.card_id,
        "cents": decision.amount_cents,
        "score": round(decision.score, 4),
        "action": decision.action,
        "via": decision.via,
        "reasons": (decision.rule_hits + decision.reasons)[:3],
        "flags": [flag for flag in FLAGS if getattr(decision, flag)],
    }
    return shown | {"fraud": fraud_of(decision.tx_id, state)} if truth else shown


def fraud_of(tx_id: str, state: RunState) -> dict[str, str] | None:
    fraud = state.true_frauds.get(tx_id)
    return None if fraud is None else {"typology": fraud.typology, "campaign": fraud.campaign_id}


def reported_rows(state: RunState) -> list[dict[str, Any]]:
    """The cards with the latest reports of fraud, the newest first."""
    return [
        {**card, "known_at": event_text(card["known_at"]), "first_ts": event_text(card["first_ts"])}
        for card in islice(reversed(state.reported.values()), CAMPAIGNS)
    ]


def band_row(band: Band, truth: bool) -> dict[str, Any]:
    shown = {"to": band.to, "decisions": band.decisions, "predicted": round(band.predicted, 2)}
    return shown | {"frauds": band.frauds} if truth else shown


def control_row(control: ShownControl) -> dict[str, Any]:
    return {
        "text": control.text,
        "kind": control.kind,
        "at_s": round(control.at_s, 1),
        "asked": event_text(control.ts),
        "placed": None if control.placed_ms is None else event_text(control.placed_ms),
    }


def campaign_rows(state: RunState) -> list[dict[str, Any]]:
    """The campaigns that began last, the newest first."""
    campaigns = islice(reversed(state.money.by_truth.campaigns.values()), CAMPAIGNS)
    return [
        _campaign(campaign) | {"beside": _stops(state.beside.campaign(campaign.campaign_id))}
        for campaign in campaigns
    ]


def _stops(campaign: CampaignAccount | None) -> dict[str, Any] | None:
    """What was stopped of a campaign, and when first; None where nothing of it is decided."""
    if campaign is None:
        return None
    account, stop_ms = campaign.account, campaign.first_stop_ms
    return {
        "transactions": account.payments.count,
        "first_stopped": None if stop_ms is None else event_text(stop_ms),
        "after_s": None if stop_ms is None else round((stop_ms - campaign.first_ms) / 1000),
        "paid_cents": account.paid.cents,
        "stopped_cents": account.stopped_frauds.cents,
    }


def _campaign(campaign: CampaignAccount) -> dict[str, Any]:
    return {
        "campaign": campaign.campaign_id,
        "typology": campaign.typology,
        "began": event_text(campaign.first_ms),
        "cards": len(campaign.cards),
        **(_stops(campaign) or {}),
    }
