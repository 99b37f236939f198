"""What the page shows at one moment, as data; without the truth nothing of it is in there."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dashboards.page.counts.control_list import ShownControl
from dashboards.page.counts.run_state import RunState, SeenDecision
from dashboards.page.counts.seconds import EDGES_MS
from dashboards.page.figures import (
    HIDDEN,
    TRUTH_FIGURES,
    Figure,
    event_text,
    log_figures,
    missing_figures,
    part_figures,
)
from dashboards.page.log_feed import LogFeed
from dashboards.page.part_metrics import PartMetrics
from fraudsim.log.events import encoder
from producers.ledger.ledger import CampaignAccount
from stream_features.catalogue.features import NAMES
from stream_features.catalogue.reason_text import sentences

SHOWN: Final = 25
"""Decisions of each of the two lists."""
CAMPAIGNS: Final = 12
CONTROLS: Final = 20
CURVE_POINTS: Final = 600
SLOW_EVERY_S: Final = 1.0
"""How often what takes long to count is counted anew."""
NO_LOG: Final = "no log yet"


class Snapshots:
    """Makes snapshots of what the feed and the parts' readings say."""

    def __init__(self, feed: LogFeed, parts: PartMetrics) -> None:
        self._feed, self._parts = feed, parts
        self._slow_at_s = 0.0
        self._run_ms: dict[str, float | None] = {}
        self._drift: list[dict[str, Any]] = []
        self._state: RunState | None = None
        self._curve: deque[tuple[float, int, int, int | None]] = deque(maxlen=CURVE_POINTS)
        """Unix time, and net losses so far, cents: by labels, by the truth, and of the scorer beside."""

    def figures(self, truth: bool) -> dict[str, Figure]:
        """Every number of the page, by name."""
        self.observe()
        state = self._feed.state
        if state is None:
            figures = missing_figures(NO_LOG)
            if not truth:
                figures |= dict.fromkeys(TRUTH_FIGURES, HIDDEN)
        else:
            figures = log_figures(state, self._feed.null_ms, self._run_ms, truth)
        problem = self._parts.redis_problem
        figures["redis_status"] = (None, f"away: {problem}" if problem else "answers")
        figures["kafka_status"] = (None, "see above" if self._feed.problem else "answers")
        figures["unread"] = (self._feed.unread, f"{self._feed.unread:,}")
        return figures | part_figures(self._parts.readings)

    def snapshot(self, truth: bool) -> bytes:
        """The event `snapshot`, JSON."""
        state, feed = self._feed.state, self._feed
        content: dict[str, Any] = {
            "truth": truth,
            "problem": feed.problem,
            "note": feed.note,
            "figures": self.figures(truth),
            "boxes": self.boxes(),
        }
        if state is not None:
            content |= {
                "decisions": [_decision(d, state, truth) for d in list(state.latest)[-SHOWN:]],
                "flagged": [_decision(d, state, truth) for d in list(state.latest_flagged)[-SHOWN:]],
                "arms": [
                    {"version": version, "variant": variant, "decisions": count}
                    for (version, variant), count in state.arms.most_common(8)
                ],
                "labels": [
                    {"source": source, "fraud": is_fraud, "count": count}
                    for (source, is_fraud), count in sorted(state.labels.items())
                ],
                "drift": self._drift,
                "controls": [_control(control) for control in state.controls.latest(truth)[:CONTROLS]],
                "reported": [
                    {
                        **card,
                        "known_at": event_text(card["known_at"]),
                        "first_ts": event_text(card["first_ts"]),
                    }
                    for card in list(state.reported.values())[: -CAMPAIGNS - 1 : -1]
                ],
            }
            if truth:
                content |= {
                    "campaigns": _campaigns(state),
                    "typologies": _typologies(state),
                    "in_force": state.controls.in_force(),
                }
        return encoder.encode(content)

    def series(self, truth: bool) -> bytes:
        """The event `series`, JSON: what the plots show."""
        state = self._feed.state
        rows = [] if state is None else state.seconds.rows(time.time())
        return encoder.encode(
            {
                "rows": [list(row[:5]) for row in rows],
                "counts": [row.counts for row in rows],
                "edges_ms": EDGES_MS,
                "null_ms": [self._feed.null_ms.get("p50"), self._feed.null_ms.get("p99")],
                "net_loss": [
                    [at_s, by_labels, by_truth, lagged] if truth else [at_s, by_labels]
                    for at_s, by_labels, by_truth, lagged in self._curve
                ],
                "marks": []
                if state is None
                else [[round(mark.at_s, 1), mark.kind] for mark in state.controls.latest(truth)[:CONTROLS]],
            }
        )

    def decision(self, tx_id: str, truth: bool) -> dict[str, Any] | None:
        """One decision as it is in the log, with the card's last hour before it; None if it is forgotten."""
        state = self._feed.state
        raw = None if state is None else state.raw_decision(tx_id)
        if state is None or raw is None:
            return None
        content = msgspec.json.decode(raw)
        vector = content.pop("features", [])
        hour = [
            _decision(payment, state, truth)
            for payment in state.payments_of(content["card_id"])
            if content["ts"] - 3_600_000 < payment.ts <= content["ts"]
        ]
        return {
            "decision": content,
            "because": sentences(content["reasons"], vector),
            "features": dict(zip(NAMES, vector, strict=False)),
            "card_hour": hour,
            "fraud": _fraud(tx_id, state) if truth else None,
        }

    def boxes(self) -> Mapping[str, str]:
        """What is drawn as running, by name."""
        return {
            **{name: part.status for name, part in self._parts.readings.items()},
            "redis": "down" if self._parts.redis_problem else "up",
            "kafka": "down" if self._feed.problem else "up",
        }

    def observe(self) -> None:
        """Count anew what takes long, if the last time is long enough ago."""
        state, now_s = self._feed.state, time.time()
        if state is not self._state:
            self._state, self._slow_at_s = state, 0.0
            self._run_ms, self._drift = {}, []
            self._curve.clear()
        if state is None or now_s < self._slow_at_s:
            return
        self._slow_at_s = now_s + SLOW_EVERY_S
        self._run_ms = state.latencies.percentiles()
        self._drift = [
            {"feature": name, "psi": round(psi.value, 4), "limit": round(psi.limit, 4)}
            for name, psi in state.drift.indices().items()
        ]
        ledgers = (state.money.by_labels, state.money.by_truth)
        by_labels, by_truth = (ledger.total.net_loss_cents for ledger in ledgers)
        beside = state.beside
        lagged = beside.money.by_truth.total.net_loss_cents if beside.decided else None
        self._curve.append((round(now_s, 1), by_labels, by_truth, lagged))


def _decision(decision: SeenDecision, state: RunState, truth: bool) -> dict[str, Any]:
    shown = {
        "tx_id": decision.tx_id,
        "time": event_text(decision.ts),
        "card": decision.card_id,
        "cents": decision.amount_cents,
        "score": round(decision.score, 4),
        "action": decision.action,
        "via": decision.via,
        "reasons": (decision.rule_hits + decision.reasons)[:3],
        "flags": [flag for flag in ("stale", "degraded", "uncertain") if getattr(decision, flag)],
    }
    return shown | {"fraud": _fraud(decision.tx_id, state)} if truth else shown


def _fraud(tx_id: str, state: RunState) -> dict[str, str] | None:
    fraud = state.true_frauds.get(tx_id)
    return None if fraud is None else {"typology": fraud.typology, "campaign": fraud.campaign_id}


def _control(control: ShownControl) -> dict[str, Any]:
    return {
        "text": control.text,
        "kind": control.kind,
        "at_s": round(control.at_s, 1),
        "asked": event_text(control.ts),
        "placed": None if control.placed_ms is None else event_text(control.placed_ms),
    }


def _campaigns(state: RunState) -> list[dict[str, Any]]:
    """The campaigns that began last, the newest first."""
    campaigns = list(state.money.by_truth.campaigns.values())[: -CAMPAIGNS - 1 : -1]
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


def _typologies(state: RunState) -> list[dict[str, Any]]:
    return [
        {
            "typology": name,
            "transactions": account.payments.count,
            "paid_cents": account.paid.cents,
            "stopped_cents": account.stopped_frauds.cents,
        }
        for name, account in sorted(
            state.money.by_truth.by_typology.items(), key=lambda entry: -entry[1].at_stake.cents
        )
    ]
