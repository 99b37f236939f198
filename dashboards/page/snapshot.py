"""What the page shows at one moment, as data; without the truth nothing of it is in there."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dashboards.page.counts.model_roles import DecidingModel, model_roles, model_rows
from dashboards.page.counts.run_state import RunState
from dashboards.page.counts.seconds import EDGES_MS
from dashboards.page.figures import (
    HIDDEN,
    TRUTH_FIGURES,
    Figure,
    log_figures,
    missing_figures,
    part_figures,
)
from dashboards.page.log_feed import LogFeed
from dashboards.page.part_metrics import PartMetrics
from dashboards.page.rows import band_row, campaign_rows, control_row, decision_row, fraud_of, reported_rows
from fraudsim.log.events import encoder
from stream_features.catalogue.features import NAMES
from stream_features.catalogue.reason_text import sentences

SHOWN: Final = 25
"""Decisions of each of the two lists."""
CONTROLS: Final = 20
MODELS: Final = 12
CURVE_POINTS: Final = 600
PERCENTILES_EVERY_S: Final = 1.0
DRIFT_EVERY_S: Final = 5.0
"""How often what takes long to count is counted anew; drift takes longest, and is slow."""
NO_LOG: Final = "no log yet"


class Snapshots:
    """Makes snapshots of what the feed and the parts' readings say."""

    def __init__(self, feed: LogFeed, parts: PartMetrics) -> None:
        self._feed, self._parts = feed, parts
        self._percentiles_at_s = self._drift_at_s = 0.0
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
                "decisions": [decision_row(d, state, truth) for d in list(state.kept.latest)[-SHOWN:]],
                "flagged": [decision_row(d, state, truth) for d in list(state.kept.latest_flagged)[-SHOWN:]],
                "models": self._models(state)[:MODELS],
                "calibration": [band_row(band, truth) for band in state.calibration.bands],
                "labels": [
                    {"source": source, "fraud": is_fraud, "count": count}
                    for (source, is_fraud), count in sorted(state.labels.items())
                ],
                "drift": self._drift,
                "controls": [control_row(control) for control in state.controls.latest(truth)[:CONTROLS]],
                "reported": reported_rows(state),
            }
            if truth:
                content |= {
                    "campaigns": campaign_rows(state),
                    "in_force": state.controls.in_force(),
                }
        return encoder.encode(content)

    def _models(self, state: RunState) -> list[DecidingModel]:
        samples = self._parts.readings["scorer"].samples
        return model_rows(model_roles(samples or {}), state.kinds.arms)

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
        raw = None if state is None else state.kept.raw(tx_id)
        if state is None or raw is None:
            return None
        content = msgspec.json.decode(raw)
        vector = content.pop("features", [])
        hour = [
            decision_row(payment, state, truth)
            for payment in state.kept.payments_of(content["card_id"])
            if content["ts"] - 3_600_000 < payment.ts <= content["ts"]
        ]
        return {
            "decision": content,
            "because": sentences(content["reasons"], vector),
            "features": dict(zip(NAMES, vector, strict=False)),
            "card_hour": hour,
            "fraud": fraud_of(tx_id, state) if truth else None,
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
            self._state, self._percentiles_at_s, self._drift_at_s = state, 0.0, 0.0
            self._run_ms, self._drift = {}, []
            self._curve.clear()
        if state is None:
            return
        if now_s >= self._percentiles_at_s:
            self._percentiles_at_s = now_s + PERCENTILES_EVERY_S
            self._run_ms = state.latencies.percentiles()
            self._curve.append((round(now_s, 1), *_net_losses(state)))
        if now_s >= self._drift_at_s:
            self._drift_at_s = now_s + DRIFT_EVERY_S
            self._drift = [
                {"feature": name, "psi": round(psi.value, 4), "limit": round(psi.limit, 4)}
                for name, psi in state.drift.indices().items()
            ]


def _net_losses(state: RunState) -> tuple[int, int, int | None]:
    """So far, cents: by labels, by the truth, and of the scorer beside."""
    by_labels, by_truth = (
        ledger.total.net_loss_cents for ledger in (state.money.by_labels, state.money.by_truth)
    )
    beside = state.beside
    return by_labels, by_truth, beside.money.by_truth.total.net_loss_cents if beside.decided else None
