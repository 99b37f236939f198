"""What Prometheus learns of each decision, in one place."""

from fraudsim import metrics
from fraudsim.events import Decision

_STAGES = ("received", "state_read", "features", "scored", "decided")


def observe(decision: Decision, speed: float) -> None:
    """Count a decision that this process made."""
    metrics.DECISIONS.labels(decision.action, decision.via).inc()
    stamps = decision.stamps
    metrics.LATENCY.labels(decision.via).observe((stamps.decided - stamps.intended) / 1e6)
    before = stamps.intended
    for stage in _STAGES:
        at = getattr(stamps, stage)
        metrics.STAGE.labels(stage).observe((at - before) / 1e6)
        before = at
    metrics.STALENESS.observe(decision.staleness_ms / 1e3)
    metrics.STALENESS_EVENT_TIME.observe(decision.staleness_ms / 1e3 * speed)
    for flag in ("stale", "degraded", "uncertain"):
        if getattr(decision, flag):
            metrics.DECISION_FLAGS.labels(flag).inc()
