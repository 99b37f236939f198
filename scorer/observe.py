"""The Prometheus metrics of a decision."""

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
def _children(action: str, via: str) -> tuple[Any, Any, Any]:
    return metrics.DECISIONS.labels(action, via), metrics.LATENCY.labels(via), metrics.SCORE.labels(via)


@cache
def _arm_counter(version: str, variant: str) -> Any:
    return metrics.ARM_DECISIONS.labels(version, variant)


for _action in ACTIONS:
    for _via in ("stream", "http"):
        _children(_action, _via)


def observe(decision: Decision, speed: float) -> None:
    """Count a decision that this process made; `speed` is the clock's, event time per wall time."""
    decisions, latency, score = _children(decision.action, decision.via)
    decisions.inc()
    _arm_counter(decision.model_version, decision.variant).inc()
    score.observe(decision.score)
    stamps = decision.stamps
    latency.observe((stamps.decided - stamps.intended) / 1e6)
    previous_us = stamps.intended
    for stage, histogram in _STAGES:
        stage_us = getattr(stamps, stage)
        histogram.observe((stage_us - previous_us) / 1e6)
        previous_us = stage_us
    if not decision.degraded:  # a degraded decision read no state that could be stale
        metrics.STALENESS.observe(decision.staleness_ms / 1e3)
        metrics.STALENESS_EVENT_TIME.observe(decision.staleness_ms / 1e3 * speed)
    metrics.EVENT_TIME.set(decision.ts / 1e3)
    for flag, counter in _FLAGS:
        if getattr(decision, flag):
            counter.inc()
