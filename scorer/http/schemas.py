"""Request and reply bodies as structs; they decode and encode, and they define the OpenAPI document."""

import json
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from fraudsim.log.events import Decision, Segment, TimeMs, Transaction
from fraudsim.settings import ModelKind
from model.artefact.manifest import Metrics
from scorer.http.problems import Problem

MAX_BATCH: Final = 1_000


class ScoreRequest(
    Transaction, frozen=True, omit_defaults=True, kw_only=True, gc=False, forbid_unknown_fields=True
):
    """A transaction as a client sends it; without `ts` it is stamped with the clock's now.

    An unknown field, a field that stands twice, and an `ip` that is no IPv4 or IPv6 address are refused.
    """

    ts: TimeMs = 0


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Transactions that are each decided, or refused, on their own."""

    transactions: Annotated[list[ScoreRequest], Meta(min_length=1, max_length=MAX_BATCH)]


class RawBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch whose transactions are decoded one by one, so that a malformed one affects no other."""

    transactions: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MAX_BATCH)]


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one transaction of a batch: a decision or a problem, and its status as one request."""

    status: int
    decision: Decision | None = None
    problem: Problem | None = None


class BatchReply(msgspec.Struct, frozen=True, kw_only=True):
    """One item for each transaction, in their order."""

    results: list[BatchItem]


class RawBatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `BatchItem` whose decision is already encoded as JSON."""

    status: int
    decision: msgspec.Raw | None = None
    problem: Problem | None = None


class ClockReply(msgspec.Struct, frozen=True, kw_only=True):
    """The run's clock."""

    now_ms: int
    """Event time now; the clock stands still until the traffic starts."""
    log_id: str
    segment: Segment


class ChallengerReply(msgspec.Struct, frozen=True, kw_only=True):
    """A model that decides for a share of the cards."""

    version: str
    share: float


class ShadowReply(msgspec.Struct, frozen=True, kw_only=True):
    """A model that scores the champion's decisions again; counted by this process since it started."""

    version: str
    compared: int
    agreed: int
    """Decisions for which both prefer the same action, before limits and exploration."""
    mean_difference: float
    """Mean of the shadow's score less the champion's."""
    differed: dict[str, int]
    """Decisions not agreed, by the champion's action and the shadow's: `approve>review`."""


class ModelReply(msgspec.Struct, frozen=True, kw_only=True):
    """The champion with its metrics on its test period, its challengers and its shadows."""

    version: str
    kind: ModelKind
    """The full model, or a cheaper one in its place (FRAUDSIM_MODEL_KIND)."""
    features: list[str]
    metrics: Metrics
    fallback_features: list[str]
    """Inputs of the fallback, which decides where the state cannot be read."""
    fallback_metrics: Metrics
    previous: str | None
    """The champion before, if it is loaded: a rollback would be served at once."""
    challengers: list[ChallengerReply]
    shadows: list[ShadowReply]
    shadows_dropped: int
    """Decisions that no shadow scored, because the queue was full."""


class HealthReply(msgspec.Struct, frozen=True, kw_only=True):
    """The process is alive."""

    status: Literal["alive"] = "alive"
    version: str


class ReadyReply(msgspec.Struct, frozen=True, kw_only=True):
    """The process decides; `degraded` where it decides without state."""

    status: Literal["ready", "degraded"]
    reason: str = ""


decode_request = msgspec.json.Decoder(ScoreRequest).decode
_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
decode_batch = msgspec.json.Decoder(RawBatch).decode


def repeated_key(body: bytes) -> str | None:
    """A key that stands twice in a JSON object without objects within; of those the last would win."""
    if body.count(b":") == len(_decode_keys(body)):
        return None
    keys: set[str] = set()
    for key, _ in json.loads(body, object_pairs_hook=list):
        if key in keys:
            return str(key)
        keys.add(key)
    return None  # a colon within a value
