"""The events on the wire: JSON, one msgspec struct each, with every bound in its type.

Times are int64 milliseconds UTC in event time unless the name says otherwise (`_us`: wall clock, µs).
Money is integer cents. Entities that a source lacks are absent, never invented.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from fraudsim.log.patterns import whole_text

SCHEMA_VERSION: Final = 1
MAX_EVENT_BYTES: Final = 65_536
"""A larger value is a dead letter, whatever it holds; so is a transaction with a larger decision header."""
MAX_AMOUNT_CENTS: Final = 1_000_000_000
MAX_TIME_MS: Final = 253_402_300_799_999
"""Last millisecond of the year 9999."""

Id = Annotated[str, whole_text("[!-~]+", min_length=1, max_length=64)]
TimeMs = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
AmountCents = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_CENTS)]
Channel = Literal["pos", "ecommerce", "atm", "recurring", "moto"]
LabelSource = Literal["customer", "chargeback", "analyst"]
Action = Literal["approve", "step_up", "review", "decline"]
ACTIONS: Final[tuple[Action, ...]] = ("approve", "step_up", "review", "decline")


class Transaction(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One card authorisation; keyed by `card_id` on the topic `transactions`."""

    tx_id: Id
    ts: TimeMs
    card_id: Id
    amount_cents: AmountCents
    schema_version: Literal[1] = SCHEMA_VERSION
    merchant_id: Id | None = None
    device_id: Id | None = None
    ip: Annotated[str, Meta(min_length=2, max_length=45)] | None = None
    currency: Annotated[str, whole_text("[A-Z]{3}")] | None = None
    mcc: Annotated[int, Meta(ge=0, le=9999)] | None = None
    channel: Channel | None = None
    country: Annotated[str, whole_text("[A-Z]{2}")] | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    sent_at: Annotated[int, Meta(ge=0, le=MAX_TIME_MS * 1000)] = 0
    """Intended send time, wall clock, µs since the epoch; 0 offline."""


class Label(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A report that a transaction is fraud or honest, and when it came; keyed by `card_id` on `labels`."""

    tx_id: Id
    card_id: Id
    ts: TimeMs
    amount_cents: AmountCents
    is_fraud: bool
    source: LabelSource
    known_at: TimeMs
    schema_version: Literal[1] = SCHEMA_VERSION
    merchant_id: Id | None = None


class Truth(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What the generator knows of a fraud; for evaluation only.

    Transactions without one are honest: one for each would double the records to send.
    """

    tx_id: Id
    is_fraud: bool
    schema_version: Literal[1] = SCHEMA_VERSION
    typology: str | None = None
    campaign_id: str | None = None


class LogPrefix(msgspec.Struct, frozen=True, kw_only=True):
    """The exact part of the log that a decision's features were computed from.

    For a key of slot s these are, of transactions in source partition p, the offsets up to `slots[s][p]` and
    those from `tail_from[p]` to `tail_to[p]`; of labels, the offsets up to `slots[s][partitions + p]`.
    """

    slots: dict[str, list[int]]
    tail_from: list[int]
    tail_to: list[int]
    pending: list[str] = []
    """HTTP only: tx_ids included in the features that were accepted but not yet read back from the log."""
    labels_to: list[int] = []
    """By partition of `labels`, the last offset read for blocks of cards; empty where none were read."""


class Block(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The block of a card that stopped a transaction: by which report or verdict, and until when."""

    tx_id: str
    """The transaction that was called fraud."""
    source: LabelSource
    from_ms: int
    """Event time at which that became known; it counts strictly after it."""
    until_ms: int


class Assignment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which model a card belongs to: the bucket of its id, and the buckets of the challenger.

    Its arm is the challenger's where `first <= bucket < end`; `bucket` follows from salt and card alone.
    """

    salt: str
    bucket: int
    first: int
    end: int
    model_version: str
    """The version that the card was assigned to, whatever scored it in the end."""
    arm: str = ""
    """The challenger's version where the card is its; empty for the champion's cards."""
    share: float = 1.0
    """Of the cards that the arm has: so much of the daily limits and of the analysts is the arm's. 1 in
    decisions of earlier versions, whose arms shared the analysts."""


class Stamps(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Wall-clock times of one decision, µs since the epoch. Its stages are in the order intended, appended,
    received, dequeued, state_read, features, scored, decided."""

    intended: int
    received: int
    state_read: int
    features: int
    scored: int
    decided: int
    appended: int = 0
    """When the broker appended the transaction, to the ms; 0 where it came over HTTP."""
    dequeued: int = 0
    """When its batch was taken from the backlog; over HTTP, when its micro-batch was. Then the read of its
    state began. 0 in decisions of an earlier version."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, its reasons and its exact inputs; on `decisions`, in source order per partition."""

    tx_id: str
    ts: int
    card_id: str
    amount_cents: int
    score: float
    """Probability of fraud, 0 to 1."""
    action: Action
    reasons: list[str]
    rule_hits: list[str]
    model_version: str
    policy_version: str
    variant: str
    stamps: Stamps
    source_partition: int
    """-1 until an HTTP transaction has its offset in the log."""
    source_offset: int
    prefix: LogPrefix
    staleness_ms: float
    """Age of the oldest Redis state read, wall clock, before the unfolded log was added."""
    features: list[float | None]
    """float32 values in catalogue order; null where a feature is unknown."""
    feature_hash: str
    merchant_id: str | None = None
    via: Literal["stream", "http"] = "stream"
    stale: bool = False
    degraded: bool = False
    uncertain: bool = False
    probability: float | None = None
    """The calibrated score, by which the policy weighed costs."""
    held_back: list[str] = []
    """Why the action is not the policy's first choice: a limit, or exploration."""
    weight: float = 1.0
    """Inverse of the probability that exploration gave this action; 1 where exploration had no part."""
    channel: Channel | None = None
    """The transaction's."""
    block: Block | None = None
    """The block of the card at this time; such a transaction is declined by the rule `card_blocked`."""
    propensities: list[float] = []
    """Probability of each of `ACTIONS`, where chance alone is open; empty in earlier versions."""
    assignment: Assignment | None = None
    """None where no challenger decides for some cards."""
    features_lag_ms: int = 0
    """Of what its prefix holds, the windows have only events from before `ts` less this, event time."""
    schema_version: Literal[1] = SCHEMA_VERSION


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be read or is not valid; keyed by topic/partition/offset."""

    topic: str
    partition: int
    offset: int
    reason: str
    field: str
    size_bytes: int
    raw_base64: str
    """The first 4,096 bytes of the value; the whole record is at (topic, partition, offset)."""
    broker_ts_ms: int
    schema_version: Literal[1] = SCHEMA_VERSION


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the run's clock, on `run.clock`: how wall time maps to event time from here on."""

    log_id: str
    number: Annotated[int, Meta(ge=0)]
    event_epoch_ms: TimeMs
    wall_epoch_ms: TimeMs
    speed: Annotated[float, Meta(ge=0, le=1e9)]
    """Event milliseconds per wall millisecond; at 0 event time does not advance."""
    past_ms: TimeMs
    """A record whose event time lies more than this behind its arrival is not valid."""
    future_ms: TimeMs
    """A record whose event time lies more than this ahead of its arrival is not valid."""
    horizon_ms: TimeMs
    """State can be read at any `now` up to this far behind a key's newest event; equal in every segment."""
    history: str = ""
    history_fingerprint: str = ""
    schema_version: Literal[1] = SCHEMA_VERSION


ControlKind = Literal[
    "attack", "drift", "rate", "pause", "resume", "kill", "stop", "model", "policy", "placed"
]


class RunControl(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What somebody asks of a running line, on `run.control`; which fields it has follows from its kind.

    The sender answers an attack or a drift by a record `placed` with the same id: from which event time on
    the stream has it.
    """

    control_id: Id
    kind: ControlKind
    ts: TimeMs
    """When it was asked; of `placed`, when it begins: later than everything sent before."""
    schema_version: Literal[1] = SCHEMA_VERSION
    typology: Id | None = None
    campaigns: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    camouflage: Annotated[float, Meta(ge=0, le=1)] | None = None
    tempo: Annotated[float, Meta(ge=0.1, le=1_000)] | None = None
    amounts: Annotated[float, Meta(ge=0.05, le=20)] | None = None
    """Of a drift: the factor on all amounts from then on; 1 ends it."""
    share: Annotated[float, Meta(ge=0.01, le=1)] | None = None
    """Of the rate with which the run was started."""
    part: Literal["worker", "scorer", "redis"] | None = None
    seconds: Annotated[float, Meta(gt=0, le=600)] | None = None
    """Wall time."""
    version: Id | None = None
    """Of a model; of a policy `shipped` or `previous`."""


EVENTS: Final[tuple[type[msgspec.Struct], ...]] = (
    Transaction,
    Label,
    Truth,
    Decision,
    DeadLetter,
    Segment,
    RunControl,
)
encoder: Final = msgspec.json.Encoder()
decode_transaction: Final = msgspec.json.Decoder(Transaction).decode
decode_label: Final = msgspec.json.Decoder(Label).decode
decode_truth: Final = msgspec.json.Decoder(Truth).decode
decode_decision: Final = msgspec.json.Decoder(Decision).decode
decode_dead_letter: Final = msgspec.json.Decoder(DeadLetter).decode
decode_segment: Final = msgspec.json.Decoder(Segment).decode
decode_control: Final = msgspec.json.Decoder(RunControl).decode
