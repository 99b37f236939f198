"""What goes in and out over HTTP, as structs: they decode it and describe it in the OpenAPI document."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from fraudsim.log.events import Decision, Segment, TimeMs, Transaction
from fraudsim.settings import ModelKind
from model.artefact.manifest import Metrics
from scorer.http.problems import Problem

MAX_BATCH: Final = 1_000


class ScoreRequest(Transaction, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A transaction as a client sends it; without `ts` it is stamped with the clock's now."""

    ts: TimeMs = 0


class BatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions that are each decided, or refused, on their own."""

    transactions: Annotated[list[ScoreRequest], Meta(min_length=1, max_length=MAX_BATCH)]


class RawBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose transactions are still to be read, so that one that cannot be spoils no other."""

    transactions: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MAX_BATCH)]


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reply to one transaction of a batch: a decision or a problem, and the status it had alone."""

    status: int
    decision: Decision | None = None
    problem: Problem | None = None


class BatchReply(msgspec.Struct, frozen=True, kw_only=True):
    """One item for each transaction, in their order."""

    results: list[BatchItem]


class RawBatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `BatchItem` whose decision is JSON already."""

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
    """A model that scores again what the champion decided; counted by this process since it started."""

    version: str
    compared: int
    agreed: int
    """Decisions in which both want the same action, before limits and exploration."""
    mean_difference: float
    """Of the shadow's score less the champion's."""
    differed: dict[str, int]
    """The others, by the champion's action and the shadow's: `approve>review`."""


class ModelReply(msgspec.Struct, frozen=True, kw_only=True):
    """The model that decides, and what it came to on its test period; those beside it."""

    version: str
    kind: ModelKind
    """The full model, or a cheaper one in its place (FRAUDSIM_MODEL_KIND)."""
    features: list[str]
    metrics: Metrics
    fallback_features: list[str]
    """What the fallback looks at, which decides where the state cannot be read."""
    fallback_metrics: Metrics
    previous: str | None
    """The champion before, if it is loaded: a rollback would be served at once."""
    challengers: list[ChallengerReply]
    shadows: list[ShadowReply]
    shadows_dropped: int
    """Decisions that no shadow scored, as too many waited."""


class HealthReply(msgspec.Struct, frozen=True, kw_only=True):
    """The process runs."""

    status: Literal["alive"] = "alive"
    version: str


class ReadyReply(msgspec.Struct, frozen=True, kw_only=True):
    """It decides; degraded where it does so without state."""

    status: Literal["ready", "degraded"]
    reason: str = ""


decode_request = msgspec.json.Decoder(ScoreRequest).decode
decode_batch = msgspec.json.Decoder(RawBatch).decode
