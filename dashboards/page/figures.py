"""The numbers of the page by name, each as a value and as a text for people. Pure."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from dashboards.drift.detector import FEWEST_WEEKS
from dashboards.drift.line.week_records import STATUSES
from dashboards.page.counts.run_state import RunState
from dashboards.page.counts.seconds import nearest_rank
from dashboards.page.counts.seen_decision import FLAGS
from dashboards.page.part_metrics import PartReading
from fraudsim.durations import duration_text
from fraudsim.log.events import ACTIONS
from producers.ledger.ledger import Ledger

Figure = tuple[float | None, str]
"""Value, and text; without a value the text says why."""
RATE_S: Final = 5
RECENT_S: Final = 10
QUIET_S: Final = 30.0
"""Wall time without a decision after which the page says so."""
OBJECTIVE_MS: Final = 50.0

LOG_FIGURES: Final = (
    "rate", "decided", "sent", "lost", "waiting", "duplicated", "repeats", "dead_lettered", "unreadable",
    "p50_ms", "p99_ms", "p999_ms", "max_ms", "p50_recent_ms", "p99_recent_ms", "p999_recent_ms",
    "staleness_ms", "stale", "degraded", "uncertain", *ACTIONS, "event_time", "speed", "policy",
    "ledger_payments",
    "net_loss_cents", "net_loss_rate_cents", "fraud_paid_cents", "insult_cents", "friction_cents",
    "review_cents", "at_stake_cents", "stopped_cents", "frauds", "insults", "open_reviews",
    "predicted_frauds", "true_frauds", "null_p50_ms", "null_p99_ms", "batch_age_ms", "lagged_decided",
    "lagged_stale",
    "real_time_net_loss_cents", "lagged_net_loss_cents",
)  # fmt: skip
TRUTH_FIGURES: Final = (
    "insult_cents", "insults", "stopped_cents", "true_frauds", "real_time_net_loss_cents",
    "lagged_net_loss_cents",
)  # fmt: skip
"""What nobody but the simulation knows."""
HIDDEN: Final[Figure] = (None, "only the simulation knows")


def whole(value: float) -> Figure:
    """A count."""
    return round(value), f"{round(value):,}"


def money(cents: int) -> Figure:
    """An amount, in cents; the text is in whole units of currency."""
    return cents, f"{cents / 100:,.2f}"


def milliseconds(value: float | None, nothing: str = "none yet") -> Figure:
    return (None, nothing) if value is None else (round(value, 3), f"{value:,.1f}")


def log_figures(
    state: RunState, null_ms: Mapping[str, float | None], run_ms: Mapping[str, float | None], truth: bool
) -> dict[str, Figure]:
    """The figures of `LOG_FIGURES`.

    Args:
        run_ms: percentiles of all latencies of the run, which take too long to count for each update.
        truth: whether what only the simulation knows is among them.
    """
    now_s = time.time()
    rate = state.seconds.rate(now_s, RATE_S)
    recent = state.seconds.recent_ms(now_s, RECENT_S)
    actions, predicted = state.kinds.actions, state.calibration.predicted
    undecided, staleness = state.undecided, sorted(state.staleness_ms)
    figures: dict[str, Figure] = {
        "rate": (round(rate, 1), f"{rate:,.0f}"),
        "decided": whole(state.decided),
        "sent": whole(undecided.sent),
        "lost": whole(undecided.lost),
        "waiting": whole(undecided.waiting),
        "duplicated": whole(state.first.repeated),
        "repeats": whole(undecided.repeats),
        "dead_lettered": whole(state.dead_letters),
        "unreadable": whole(state.unreadable),
        "p50_ms": milliseconds(run_ms.get("p50")),
        "p99_ms": milliseconds(run_ms.get("p99")),
        "p999_ms": milliseconds(run_ms.get("p999")),
        "max_ms": milliseconds(run_ms.get("max")),
        "p50_recent_ms": milliseconds(nearest_rank(recent, 0.5), "no traffic"),
        "p99_recent_ms": milliseconds(nearest_rank(recent, 0.99), "no traffic"),
        "p999_recent_ms": milliseconds(nearest_rank(recent, 0.999), "no traffic"),
        "staleness_ms": milliseconds(nearest_rank(staleness, 0.5)),
        **{flag: whole(state.kinds.flagged(flag)) for flag in FLAGS},
        **{action: whole(actions[action]) for action in ACTIONS},
        "event_time": _event_time(state, now_s),
        "speed": _speed(state),
        "policy": (None, state.policy_version or "none yet"),
        "null_p50_ms": milliseconds(null_ms.get("p50"), "not run"),
        "null_p99_ms": milliseconds(null_ms.get("p99"), "not run"),
        "predicted_frauds": (round(predicted, 2), f"{predicted:,.1f}"),
        "true_frauds": whole(state.calibration.frauds),
        "ledger_payments": whole(state.money.by_truth.total.payments.count),
        "open_reviews": whole(state.money.open_reviews),
        **_beside_figures(state),
        **_ledger_figures(state.money.of("truth" if truth else "labels")),
    }
    return figures if truth else figures | dict.fromkeys(TRUTH_FIGURES, HIDDEN)


def missing_figures(reason: str) -> dict[str, Figure]:
    """The same names without a log."""
    return dict.fromkeys(LOG_FIGURES, (None, reason))


def _ledger_figures(ledger: Ledger) -> dict[str, Figure]:
    account = ledger.total
    return {
        "net_loss_cents": money(account.net_loss_cents),
        "net_loss_rate_cents": money(ledger.net_loss_rate),
        "fraud_paid_cents": money(account.fraud_paid_cents),
        "insult_cents": money(account.insult_cents),
        "friction_cents": money(account.friction_cents),
        "review_cents": money(account.review_cents),
        "at_stake_cents": money(account.at_stake.cents),
        "stopped_cents": money(account.stopped_frauds.cents),
        "frauds": whole(account.at_stake.count),
        "insults": whole(account.insults),
    }


def _beside_figures(state: RunState) -> dict[str, Figure]:
    beside = state.beside
    if not beside.decided:
        names = ("lagged_decided", "lagged_stale", "lagged_net_loss_cents", "real_time_net_loss_cents")
        none: dict[str, Figure] = dict.fromkeys(names, (None, "not run"))
        return none | {"batch_age_ms": (None, "up --beside 1h runs one")}
    return {
        "batch_age_ms": (beside.lag_ms, duration_text(beside.lag_ms)),
        "lagged_decided": whole(beside.decided),
        "lagged_stale": whole(beside.stale),
        "lagged_net_loss_cents": money(beside.money.by_truth.total.net_loss_cents),
        "real_time_net_loss_cents": money(state.money.by_truth.total.net_loss_cents),
    }


def _event_time(state: RunState, now_s: float) -> Figure:
    if not state.clock:
        return None, "no clock yet"
    if state.clock.current.speed == 0:
        return None, "the clock stands still"
    if state.decided and state.seconds.silent_s(now_s) > QUIET_S:
        return state.last_ts, f"no traffic since {event_text(state.last_ts)}"
    return state.last_ts or None, event_text(state.last_ts) if state.last_ts else "no decision yet"


def _speed(state: RunState) -> Figure:
    if not state.clock:
        return None, "no clock yet"
    speed = state.clock.current.speed
    return speed, f"{speed:,.0f}"


def event_text(ts_ms: int) -> str:
    """An event time for people.

    >>> event_text(1_514_764_800_000)
    '2018-01-01 00:00:00'
    """
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(" ", "seconds")[:19]


STATUS_TEXT: Final = {
    "up": "runs", "down": "down", "silent": "hangs", "ended": "has ended", "absent": "not here",
}  # fmt: skip


def part_figures(readings: Mapping[str, PartReading]) -> dict[str, Figure]:
    """Of each part `NAME_status`, `NAME_cpu`, `NAME_lag`, `NAME_restarts`, `NAME_rate`; `weekly_drift`."""
    figures: dict[str, Figure] = {}
    for name, part in readings.items():
        lost = "" if part.status == "up" else "–"
        figures[f"{name}_status"] = (None, STATUS_TEXT[part.status] + _because(part))
        figures[f"{name}_cpu"] = (part.cpu, lost or "–" if part.cpu is None else f"{part.cpu:.0%}")
        figures[f"{name}_lag"] = (part.lag, lost or "–" if part.lag is None else f"{part.lag:,.0f}")
        figures[f"{name}_rate"] = (part.rate, lost or "–" if part.rate is None else f"{part.rate:,.0f}")
        figures[f"{name}_restarts"] = whole(part.restarts)
    return figures | {"weekly_drift": _weekly_drift(readings.get("drift"))}


def _weekly_drift(part: PartReading | None) -> Figure:
    """What the weekly detector says of the last week; the value is the number of signals beyond limits."""
    if part is None or part.status == "absent":
        return None, "up --drift compares weeks"
    samples = part.samples
    if samples is None:
        return None, STATUS_TEXT[part.status]
    end_s = samples.get(("fraudsim_drift_week_timestamp_seconds", ()), 0.0)
    if not end_s:
        return None, "no week is over yet"
    statuses = (name for name in STATUSES if samples.get(("fraudsim_drift_week_status", (("status", name),))))
    status, beyond = next(statuses, ""), samples.get(("fraudsim_drift_week_signals_beyond", ()), 0.0)
    weeks = samples.get(("fraudsim_drift_reference_weeks", ()), 0.0)
    text = {
        "reference": f"collects its reference, {weeks:.0f} of {FEWEST_WEEKS} weeks",
        "promotion": "another champion: a new reference begins",
        "quiet": "no drift",
        "alarm": f"{beyond:.0f} signals drift",
    }.get(status, "")
    return round(beyond), f"{text} (week to {event_text(round(end_s * 1000))[:10]})"


def _because(part: PartReading) -> str:
    return f": {part.reason}" if part.status == "silent" else ""
