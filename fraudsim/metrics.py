"""The metrics of every process, with their buckets, and the port that serves them."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    ProcessCollector,
    start_http_server,
)

from fraudsim.histogram import Histogram
from fraudsim.settings import Settings

LATENCY_BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05,
    0.075, 0.1, 0.2, 0.5, 1.0,
)  # fmt: skip
"""0.5 ms to 1 s, with an edge at the 50 ms objective."""
SCORE_BUCKETS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
)  # fmt: skip
"""Narrow where most scores are."""
DIFFERENCE_BUCKETS: Final = (
    -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, -0.005, -0.001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
)  # fmt: skip
"""Of the difference between two scores."""

registry: Final = CollectorRegistry()
ProcessCollector(registry=registry)  # reads /proc, so it reports nothing on macOS
GCCollector(registry=registry)

TRANSACTIONS: Final = Counter(
    "fraudsim_transactions",
    "Transactions handled, by stage and outcome",
    ["stage", "outcome"],
    registry=registry,
)
LABELS: Final = Counter(
    "fraudsim_labels", "Labels handled, by stage and outcome", ["stage", "outcome"], registry=registry
)
DECISIONS: Final = Counter(
    "fraudsim_decisions", "Decisions, by action and way in", ["action", "via"], registry=registry
)
DECISION_FLAGS: Final = Counter(
    "fraudsim_decision_flags", "Decisions marked stale, degraded or uncertain", ["flag"], registry=registry
)
LATENCY: Final = Histogram(
    "fraudsim_decision_latency_seconds", "Intended send to decision, wall clock",
    ["via"], buckets=LATENCY_BUCKETS_S, registry=registry,
)  # fmt: skip
STAGE: Final = Histogram(
    "fraudsim_stage_latency_seconds", "Time within one stage of a decision",
    ["stage"], buckets=LATENCY_BUCKETS_S, registry=registry,
)  # fmt: skip
STALENESS: Final = Histogram(
    "fraudsim_staleness_seconds", "Age of the Redis state a decision started from, wall clock",
    buckets=(*LATENCY_BUCKETS_S, 5, 30, 120, 600), registry=registry,
)  # fmt: skip
STALENESS_EVENT_TIME: Final = Histogram(
    "fraudsim_staleness_event_time_seconds", "The same age in event time",
    buckets=(1, 10, 60, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600), registry=registry,
)  # fmt: skip
CARD_BLOCKS: Final = Gauge(
    "fraudsim_card_blocks", "Verdicts of fraud by which this scorer blocks cards now", registry=registry
)
CARD_BLOCKS_DROPPED: Final = Gauge(
    "fraudsim_card_blocks_dropped",
    "Verdicts forgotten before their time, too many to keep",
    registry=registry,
)
DEAD_LETTERS: Final = Counter(
    "fraudsim_dead_letters", "Records set aside, by field", ["field"], registry=registry
)
CLOCK_SKIPPED: Final = Counter(
    "fraudsim_clock_skipped", "Records of run.clock that are no segment and were skipped", registry=registry
)
CONTROL_SKIPPED: Final = Counter(
    "fraudsim_control_skipped",
    "Records of run.control that are no control and were skipped",
    registry=registry,
)
CONSUMER_LAG: Final = Gauge(
    "fraudsim_consumer_lag_records",
    "Records between a reader and the log's end",
    ["process", "topic"],
    registry=registry,
)
HEARTBEAT: Final = Gauge(
    "fraudsim_heartbeat_timestamp_seconds", "Wall clock of the last sign of life", registry=registry
)
BEHIND: Final = Counter(
    "fraudsim_schedule_behind_seconds",
    "Wall seconds in which the sender did not keep its schedule",
    registry=registry,
)
MODEL_INFO: Final = Gauge(
    "fraudsim_model_info", "1 for the model that is served", ["version", "features"], registry=registry
)
MODEL_ROLE: Final = Gauge(
    "fraudsim_model_role", "1 for what a served model does: champion, challenger or shadow",
    ["version", "role"], registry=registry,
)  # fmt: skip
MODEL_CHANGES: Final = Counter(
    "fraudsim_model_changes", "Changes of the models, by outcome: served or refused",
    ["outcome"], registry=registry,
)  # fmt: skip
ARM_DECISIONS: Final = Counter(
    "fraudsim_model_decisions", "Decisions, by the version of the model and what it was chosen as",
    ["version", "variant"], registry=registry,
)  # fmt: skip
UNUSABLE_SCORES: Final = Counter(
    "fraudsim_model_unusable_scores", "Scores of a challenger that were no number; the champion decided",
    ["version"], registry=registry,
)  # fmt: skip
SHADOW_DECISIONS: Final = Counter(
    "fraudsim_shadow_decisions",
    "Decisions of the champion that a shadow scored too, by the action each wants before limits",
    ["version", "champion", "shadow"], registry=registry,
)  # fmt: skip
SHADOW_DIFFERENCE: Final = Histogram(
    "fraudsim_shadow_score_difference", "Score of a shadow less that of the champion",
    ["version"], buckets=DIFFERENCE_BUCKETS, registry=registry,
)  # fmt: skip
SHADOW_DROPPED: Final = Counter(
    "fraudsim_shadow_dropped", "Decisions that no shadow scored, as too many waited", registry=registry
)
MODEL_TRAINED: Final = Gauge(
    "fraudsim_model_trained_timestamp_seconds",
    "Event time the served model was trained at",
    registry=registry,
)
EVENT_TIME: Final = Gauge(
    "fraudsim_event_timestamp_seconds", "Event time of the last decision", registry=registry
)
SCORE: Final = Histogram(
    "fraudsim_score", "Scores of the decisions", ["via"], buckets=SCORE_BUCKETS, registry=registry
)
FOLD_BATCH: Final = Histogram(
    "fraudsim_fold_batch_size", "Transactions folded before one write",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000), registry=registry,
)  # fmt: skip
SLOTS_OWNED: Final = Gauge("fraudsim_slots_owned", "Slots this worker folds", registry=registry)
FENCED: Final = Counter("fraudsim_fenced_writes", "Writes refused by the fence", registry=registry)
REDIS_FULL: Final = Counter(
    "fraudsim_redis_full_writes", "Writes of state that Redis refused for want of memory", registry=registry
)
REDIS_MEMORY: Final = Gauge(
    "fraudsim_redis_memory_bytes", "Memory that Redis uses, as the workers ask it every 5 s",
    registry=registry,
)  # fmt: skip
REDIS_MAX_MEMORY: Final = Gauge(
    "fraudsim_redis_max_memory_bytes", "Memory from which on Redis refuses writes (maxmemory); 0: no limit",
    registry=registry,
)  # fmt: skip
KEYS_SWEPT: Final = Counter(
    "fraudsim_idle_keys_swept", "Keys removed from Redis because no transaction sees them", registry=registry
)
HTTP_REPLIES: Final = Counter(
    "fraudsim_http_replies", "HTTP replies, by status", ["status"], registry=registry
)
REPLIES_NOT_SHARED: Final = Counter(
    "fraudsim_http_replies_not_shared",
    "HTTP replies that Redis did not take: repeats get them only from the process that decided",
    registry=registry,
)

DEGRADED: Final = Counter(
    "fraudsim_degraded_decisions", "Decisions made without state, by way in and reason",
    ["via", "reason"], registry=registry,
)  # fmt: skip
POLICY_INFO: Final = Gauge(
    "fraudsim_policy_info", "1 for the policy that decides", ["version"], registry=registry
)
POLICY_CHANGES: Final = Counter(
    "fraudsim_policy_changes", "Changes of the policy's files, by outcome: served or refused",
    ["outcome"], registry=registry,
)  # fmt: skip
RULE_ERRORS: Final = Counter(
    "fraudsim_rule_errors", "Rule files that could not be evaluated for a transaction",
    ["file"], registry=registry,
)  # fmt: skip
SHED: Final = Counter(
    "fraudsim_shed_requests", "HTTP requests turned away under load, by reason", ["reason"], registry=registry
)
REDIS_FAILURES: Final = Counter(
    "fraudsim_redis_failures", "Failed calls of a role of Redis: slow, gone, or full (out of memory)",
    ["name", "reason"], registry=registry,
)  # fmt: skip
BREAKER: Final = Gauge(
    "fraudsim_breaker_state", "Circuit breaker of a role of Redis: 0 closed, 1 half open, 2 open",
    ["name"], registry=registry,
)  # fmt: skip

# Computed by `fraudsim watch` from decisions, truth and labels.
FRAUD_VALUE: Final = Counter(
    "fraudsim_fraud_value_cents", "Amounts of frauds: paid, or by what they were stopped",
    ["typology", "outcome"], registry=registry,
)  # fmt: skip
FRAUDS: Final = Counter(
    "fraudsim_fraud_transactions", "Frauds: paid, or by what they were stopped",
    ["typology", "outcome"], registry=registry,
)  # fmt: skip
HONEST_VALUE: Final = Counter(
    "fraudsim_honest_value_cents", "Amounts of honest payments: paid, or by what they were stopped",
    ["outcome"], registry=registry,
)  # fmt: skip
HONEST: Final = Counter(
    "fraudsim_honest_transactions", "Honest payments: paid, or by what they were stopped",
    ["outcome"], registry=registry,
)  # fmt: skip
LEDGER: Final = Counter(
    "fraudsim_ledger_cents",
    "Cost by kind: fraud_paid, insult, friction, review; by the truth, or by labels as a bank has them",
    ["view", "kind"], registry=registry,
)  # fmt: skip
NET_LOSS: Final = Gauge(
    "fraudsim_ledger_net_loss_cents", "Net loss per 1,000 cards and week of event time, since the start",
    ["view"], registry=registry,
)  # fmt: skip
ALERTS: Final = Counter(
    "fraudsim_ledger_alerts", "Payments stepped up, reviewed or declined; not those of blocked cards",
    ["truth"], registry=registry,
)  # fmt: skip
REVIEW_MINUTES: Final = Counter(
    "fraudsim_ledger_review_minutes", "Analysts' time of the reviews begun", registry=registry
)
OPEN_REVIEWS: Final = Gauge(
    "fraudsim_ledger_open_reviews", "Reviewed payments whose case nobody has begun", registry=registry
)
CALIBRATION_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Upper edges of predicted probabilities."""
CALIBRATION_DECISIONS: Final = Counter(
    "fraudsim_calibration_decisions", "Decisions, by the upper edge of their probability of fraud",
    ["bucket"], registry=registry,
)  # fmt: skip
CALIBRATION_PROBABILITY: Final = Counter(
    "fraudsim_calibration_probability", "Sum of those probabilities: the frauds that they predict",
    ["bucket"], registry=registry,
)  # fmt: skip
CALIBRATION_FRAUDS: Final = Counter(
    "fraudsim_calibration_frauds", "Frauds among those decisions", ["bucket"], registry=registry
)
DRIFT: Final = Gauge(
    "fraudsim_drift_psi", "Population stability index of a feature or the score",
    ["feature"], registry=registry,
)  # fmt: skip
DRIFT_LIMIT: Final = Gauge(
    "fraudsim_drift_psi_limit", "What chance alone exceeds once in a thousand times",
    ["feature"], registry=registry,
)  # fmt: skip
# Computed by `fraudsim drift` from whole weeks of event time.
DRIFT_WEEKS: Final = Counter(
    "fraudsim_drift_weeks",
    "Weeks of event time judged: reference, quiet, alarm, or promotion of another champion",
    ["status"], registry=registry,
)  # fmt: skip
DRIFT_WEEK_STATUS: Final = Gauge(
    "fraudsim_drift_week_status", "1 for what was said of the last week", ["status"], registry=registry
)
DRIFT_WEEK_BEYOND: Final = Gauge(
    "fraudsim_drift_week_signals_beyond", "Signals of the last week beyond their limits", registry=registry
)
DRIFT_WEEK_DISTANCE: Final = Gauge(
    "fraudsim_drift_week_distance", "Distance of the last week from the reference weeks",
    ["against", "signal"], registry=registry,
)  # fmt: skip
DRIFT_WEEK_LIMIT: Final = Gauge(
    "fraudsim_drift_week_limit", "The distance from which that signal has drifted",
    ["against", "signal"], registry=registry,
)  # fmt: skip
DRIFT_WEEK_END: Final = Gauge(
    "fraudsim_drift_week_timestamp_seconds", "Event time at which the last week judged ended",
    registry=registry,
)  # fmt: skip
DRIFT_REFERENCE_WEEKS: Final = Gauge(
    "fraudsim_drift_reference_weeks", "Weeks of the line that stand as its reference", registry=registry
)
COST_SHARE: Final = Gauge(
    "fraudsim_cost_share",
    "Cost of the champion's decisions over that of approving everything, on payments two weeks old",
    registry=registry,
)
LABEL_DELAY: Final = Histogram(
    "fraudsim_label_delay_seconds", "From a transaction to its label, event time",
    ["source", "verdict"],
    buckets=(60, 600, 3600, *(days * 86400 for days in (0.25, 1, 3, 7, 14, 30, 60, 120))),
    registry=registry,
)  # fmt: skip
RECENT_FRAUD_RATE: Final = Gauge(
    "fraudsim_recent_fraud_rate",
    "Share of frauds among the payments of the last days of event time, by labels: known, or mature as "
    "estimated (nan while too little can be known)",
    ["days", "labels"], registry=registry,
)  # fmt: skip
RECENT_KNOWN_SHARE: Final = Gauge(
    "fraudsim_recent_fraud_known_share", "Share of these frauds that is estimated to be known by now",
    ["days"], registry=registry,
)  # fmt: skip
WATCH_UNREADABLE: Final = Counter(
    "fraudsim_watch_unreadable", "Records that could not be read, and were left out",
    ["topic"], registry=registry,
)  # fmt: skip
RETRAININGS: Final = Counter(
    "fraudsim_retrainings", "Retrainings that are over, by how they ended", ["status"], registry=registry
)
RETRAINING_EVENT_TIME: Final = Gauge(
    "fraudsim_retraining_timestamp_seconds", "Event time by which the last retraining's labels were known",
    registry=registry,
)  # fmt: skip
RETRAINING_GATE: Final = Gauge(
    "fraudsim_retraining_gate_cents",
    "Cost of the last new model less the champion's, for 1,000 payments",
    registry=registry,
)  # fmt: skip


TRIALS: Final = Counter(
    "fraudsim_retraining_trials", "Trials of shadows that are over, by how they ended", ["status"],
    registry=registry,
)  # fmt: skip


def serve_metrics(settings: Settings) -> int:
    """Serve this process's metrics; returns the port."""
    server, _ = start_http_server(settings.metrics_port, addr=settings.metrics_host, registry=registry)
    return int(server.server_port)
