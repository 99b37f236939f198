"""What Prometheus learns of each decision, in one place."""

from functools import cache
from typing import Any

from fraudsim import metrics
from fraudsim.log.events import ACTIONS, Decision

_STAGES = [
    (stage, metrics.STAGE.labels(stage))
    for stage in ("received", "state_read", "features", "scored", "decided")
]

# All from the start, so that a share of none is 0 and not unknown.
_FLAGS = [(flag, metrics.DECISION_FLAGS.labels(flag)) for flag in ("stale", "degraded", "uncertain")]


@cache  # a lookup by labels costs as much as the observation
def _of(action: str, via: str) -> tuple[Any, Any, Any]:
    return metrics.DECISIONS.labels(action, via), metrics.LATENCY.labels(via), metrics.SCORE.labels(via)


@cache
def _of_model(version: str, variant: str) -> Any:
    return metrics.ARM_DECISIONS.labels(version, variant)


for _action in ACTIONS:
    for _via in ("stream", "http"):
        _of(_action, _via)


def observe(decision: Decision, speed: float) -> None:
    """Count a decision that this process made."""
    decisions, latency, score = _of(decision.action, decision.via)
    decisions.inc()
    _of_model(decision.model_version, decision.variant).inc()
    score.observe(decision.score)
    stamps = decision.stamps
    latency.observe((stamps.decided - stamps.intended) / 1e6)
    before = stamps.intended
    for stage, histogram in _STAGES:
        at = getattr(stamps, stage)
        histogram.observe((at - before) / 1e6)
        before = at
    if not decision.degraded:  # else it read no state that could be stale
        metrics.STALENESS.observe(decision.staleness_ms / 1e3)
        metrics.STALENESS_EVENT_TIME.observe(decision.staleness_ms / 1e3 * speed)
    metrics.EVENT_TIME.set(decision.ts / 1e3)
    for flag, counter in _FLAGS:
        if getattr(decision, flag):
            counter.inc()
