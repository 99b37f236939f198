"""The verdict: not measured, else measured, or by the objectives met or missed; with its reason."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from load_tests.load.clocks.histograms import QUANTILES
from load_tests.load.clocks.lateness import Lateness, late_limit_us, lateness_of
from load_tests.load.verdict.intervals import (
    QuantileInterval,
    batch_groupings,
    fewest_requests,
    quantile_interval,
)
from load_tests.load.verdict.measurement import GeneratorHealth, Measurement
from load_tests.load.verdict.objectives import SHOWN_NAMES, Objectives
from load_tests.rig.scheduling import REAL_TIME

DEFAULT_CLAIM: Final = 0.99
ECHO_SHARE: Final = 0.2
"""Of the tightest objective: above this the generator's own p99 is too large to judge by."""
ECHO_WORDS: Final[Mapping[str, str]] = {"http": "loopback echo", "stream": "bare topic"}
"""What a generator is checked against."""
LATE_DIVISOR: Final = 5
SINGLE: Final = 1
"""One late send refuses no run: of few requests it is a large share, and says nothing of one."""
Word = Literal["met", "missed", "measured", "not measured"]
EXIT_CODES: Final[Mapping[str, int]] = {"met": 0, "measured": 0, "missed": 1, "not measured": 3}


@dataclass(frozen=True)
class LoadVerdict:
    """What can be said of a measurement."""

    word: Word
    why: str
    claimed: float
    """The highest quantile that the verdict rests on."""
    lateness: Lateness
    late_allowed: float
    """Share of late sends above which nothing is measured."""
    intervals: Mapping[str, QuantileInterval]
    """Of the latency from the intended send."""

    def prints(self, name: str) -> bool:
        """Whether a quantile may be printed: the sample bears it, and late sends do not reach it."""
        interval = self.intervals.get(name)
        q = QUANTILES[name]
        return (
            interval is not None
            and interval.bears
            and (q <= self.claimed or self._late_share <= late_share_allowed(q))
        )

    @property
    def _late_share(self) -> float:
        late = self.lateness.late
        return float(late.mean()) if len(late) else 0.0


def late_share_allowed(q: float) -> float:
    """A fifth of what the quantile leaves out."""
    return (1 - q) / LATE_DIVISOR


def reach_verdict(measurement: Measurement, objectives: Objectives) -> LoadVerdict:
    """The verdict on a measurement."""
    records = measurement.records
    lateness = lateness_of(records, late_limit_us(objectives.tightest_ms))
    latencies_ms = measurement.latencies_ms()
    groupings = batch_groupings(records["intended_us"], measurement.rounds)
    intervals = {
        name: interval
        for name, q in QUANTILES.items()
        if (interval := quantile_interval(latencies_ms, q, groupings)) is not None
    }
    claimed = objectives.highest_quantile or _default_claim(len(records))
    allowed = late_share_allowed(claimed)
    refusal = _refusal(measurement, objectives, lateness, claimed)
    if refusal:
        word: Word = "not measured"
        why = refusal
    else:
        word, why = _against(measurement, objectives, intervals)
    if measurement.partial:
        why = f"stopped after {measurement.seconds:.1f} s, what was sent till then counts: {why}"
    return LoadVerdict(word, why, claimed, lateness, allowed, intervals)


def _in_real_time(health: GeneratorHealth) -> str:
    """What else would help, where the system did not allow it."""
    allowed = health.scheduling == REAL_TIME or not hasattr(os, "sched_setscheduler")
    return "" if allowed else ", or allow real time (ulimit -r 1, or root)"


def _default_claim(count: int) -> float:
    """Without an objective: p99, or what fewer requests bear."""
    return max(
        (q for q in QUANTILES.values() if q <= DEFAULT_CLAIM and count >= fewest_requests(q)), default=0.5
    )


def _refusal(measurement: Measurement, objectives: Objectives, lateness: Lateness, claimed: float) -> str:
    """Why nothing was measured; empty where something was."""
    health = measurement.health
    sent = len(measurement.records)
    allowed = late_share_allowed(claimed)
    if measurement.echo_p99_ms == math.inf and not measurement.partial:
        echo = ECHO_WORDS[measurement.kind]
        return f"the generator did not get through to a {echo} at this rate: free the machine"
    if health.lost_workers:
        detail = "" if sent else next(iter(measurement.errors), "")
        lost = f"{health.lost_workers} of {health.workers} workers of the generator were lost: run it again"
        return f"{lost} {detail}".rstrip()
    if not sent:
        return "nothing was sent"
    if not (measurement.records["completed_us"] > 0).any():
        kinds = measurement.errors
        return f"no request was answered: {max(kinds, key=lambda kind: kinds[kind], default='')}"
    limit = f"{lateness.limit_us / 1000:g} ms"
    if lateness.late_count > max(SINGLE, allowed * sent):
        return (
            f"the generator was late: {lateness.late_count / sent:.2%} of the sends left over {limit} after "
            f"their time though a sender was free, {allowed:.2%} are allowed for {_name(claimed)}; lower the "
            f"rate, use more --workers, or free the machine{_in_real_time(health)}"
        )
    blocked_matters = lateness.blocked_count > allowed * sent
    if blocked_matters and health.probe_wakes and health.probe_late > allowed * health.probe_wakes:
        late_wakes = health.probe_late / health.probe_wakes
        return (
            f"the generator's loop stood still: {late_wakes:.2%} of its wakes were over {limit} late, so "
            "requests that found no free sender may be its own doing"
        )
    limit_echo_ms = ECHO_SHARE * (objectives.tightest_ms or math.inf)
    if measurement.echo_p99_ms is not None and measurement.echo_p99_ms > limit_echo_ms:
        return (
            f"the generator alone has a p99 of {measurement.echo_p99_ms:.2f} ms against a "
            f"{ECHO_WORDS[measurement.kind]} at this rate, over {limit_echo_ms:g} ms, a fifth of the "
            "objective; lower the rate, or free the machine"
        )
    return ""


def _against(
    measurement: Measurement, objectives: Objectives, intervals: Mapping[str, QuantileInterval]
) -> tuple[Word, str]:
    """The word by the objectives, and its reason."""
    if not objectives:
        return "measured", "no objective was set"
    latencies_ms = measurement.latencies_ms()
    count = len(latencies_ms)
    reasons, missed = [], False
    for name, limit_ms in objectives.latency_ms.items():
        q, shown = QUANTILES[name], SHOWN_NAMES[name]
        misses = int((latencies_ms > limit_ms).sum())
        if misses == 0 and count < fewest_requests(q):
            return "not measured", (
                f"{shown} needs {fewest_requests(q)} requests or more, {count} were sent: raise --seconds"
            )
        fails = misses > (1 - q) * count
        missed |= fails
        interval = intervals[name]
        sure = interval.low_ms > limit_ms if fails else (interval.high_ms or math.inf) <= limit_ms
        unanswered = count - len(measurement.good)
        value = (
            f"{interval.value_ms:.2f} ms"
            if math.isfinite(interval.value_ms)
            else f"of {count}, {unanswered} had no good answer: it"
        )
        reasons.append(
            f"{shown} {value} is {'over' if fails else 'within'} {limit_ms:g} ms"
            + ("" if sure else ", but its 95 % interval reaches the other side")
        )
    if objectives.errors is not None:
        share = 1 - len(measurement.good) / count
        missed |= share > objectives.errors
        side = "over" if share > objectives.errors else "within"
        reasons.append(f"errors {share:.3%} are {side} {objectives.errors:.3%}")
    return ("missed" if missed else "met"), "; ".join(reasons)


def _name(q: float) -> str:
    return next(SHOWN_NAMES[name] for name, value in QUANTILES.items() if value == q)
