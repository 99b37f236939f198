"""The events on the wire: JSON, one msgspec struct each, every bound stated in its type.

Times are int64 milliseconds UTC in event time unless the name says otherwise (`_us`, wall clock).
Money is integer cents. Entities that a source lacks are absent, never invented.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

SCHEMA_VERSION: Final = 1
MAX_EVENT_BYTES: Final = 65_536
"""A value larger than this is a dead letter, whatever it holds; so is one with a larger decision header."""
MAX_AMOUNT_CENTS: Final = 1_000_000_000
MAX_TIME_MS: Final = 253_402_300_799_999
"""Last millisecond of the year 9999."""

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
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
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] | None = None
    mcc: Annotated[int, Meta(ge=0, le=9999)] | None = None
    channel: Channel | None = None
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$")] | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    sent_at: Annotated[int, Meta(ge=0, le=MAX_TIME_MS * 1000)] = 0
    """Intended send time, wall clock, µs since the epoch; 0 offline."""


class Label(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What somebody came to know of a transaction, and when; keyed by `card_id` on the topic `labels`."""

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

    Transactions without one are honest: with one each, the sender would have twice the records.
    """

    tx_id: Id
    is_fraud: bool
    schema_version: Literal[1] = SCHEMA_VERSION
    typology: str | None = None
    campaign_id: str | None = None


class LogPrefix(msgspec.Struct, frozen=True, kw_only=True):
    """The exact set of the log that a decision's features were computed from.

    Of slot s the features saw, in source partition p, the offsets up to `slots[s][p]` and those from
    `tail_from[p]` to `tail_to[p]`; of labels, those up to `slots[s][partitions + p]`.
    """

    slots: dict[str, list[int]]
    tail_from: list[int]
    tail_to: list[int]
    pending: list[str] = []
    """HTTP only: tx_ids that were accepted, not yet read back from the log, and counted in."""


class Stamps(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Wall-clock stamps of one decision, µs since the epoch, in the order they are taken."""

    intended: int
    received: int
    state_read: int
    features: int
    scored: int
    decided: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, why, and from exactly what; on `decisions`, in source order per partition."""

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
    """-1 until an HTTP transaction has its place in the log."""
    source_offset: int
    prefix: LogPrefix
    staleness_ms: float
    """Age of the oldest Redis state read, wall clock, before the unfolded tail was added."""
    features: list[float | None]
    """float32 values in catalogue order; null where a feature is unknown."""
    feature_hash: str
    merchant_id: str | None = None
    via: Literal["stream", "http"] = "stream"
    stale: bool = False
    degraded: bool = False
    uncertain: bool = False
    probability: float | None = None
    """The score, calibrated: what the policy weighed costs with."""
    held_back: list[str] = []
    """Why it is not the action that was wanted first: a limit, or exploration."""
    weight: float = 1.0
    """1 over the probability that exploration left the action so; 1 where chance had no part."""
    schema_version: Literal[1] = SCHEMA_VERSION


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be read or is not valid; keyed by topic/partition/offset."""

    topic: str
    partition: int
    offset: int
    reason: str
    field: str
    size_bytes: int
    raw_base64: str
    """The first 4,096 bytes of the value; the whole stands at (topic, partition, offset)."""
    broker_ts_ms: int
    schema_version: Literal[1] = SCHEMA_VERSION


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the run's clock, on `run.clock`: how wall time maps to event time from here on."""

    log_id: str
    number: Annotated[int, Meta(ge=0)]
    event_epoch_ms: TimeMs
    wall_epoch_ms: TimeMs
    speed: Annotated[float, Meta(ge=0, le=1e9)]
    """Event milliseconds per wall millisecond; 0 is a clock that stands still."""
    past_ms: int
    """A record whose event time lies more than this behind its arrival is not valid."""
    future_ms: int
    horizon_ms: int
    """State answers any `now` up to this far behind a key's newest event; the same in every segment."""
    history: str = ""
    history_fingerprint: str = ""
    schema_version: Literal[1] = SCHEMA_VERSION


EVENTS: Final[tuple[type[msgspec.Struct], ...]] = (Transaction, Label, Truth, Decision, DeadLetter, Segment)
encoder: Final = msgspec.json.Encoder()
decode_transaction: Final = msgspec.json.Decoder(Transaction).decode
decode_label: Final = msgspec.json.Decoder(Label).decode
decode_truth: Final = msgspec.json.Decoder(Truth).decode
decode_decision: Final = msgspec.json.Decoder(Decision).decode
decode_dead_letter: Final = msgspec.json.Decoder(DeadLetter).decode
decode_segment: Final = msgspec.json.Decoder(Segment).decode
