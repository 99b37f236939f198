"""A transaction of a scoring request: as received, once it is valid, and the problems it may end with."""

import codecs
from ipaddress import ip_address
from typing import Final

import msgspec

from fraudsim import metrics
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import event_time_ms
from fraudsim.log.events import Segment, Transaction
from scorer.http.problems import Problem, problem
from scorer.http.schemas import decode_request, repeated_key
from scorer.idempotency.claims import Claim, PriorClaim
from stream_features.online.in_flight import InFlightFullError

_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

ScoreResult = bytes | Problem
"""The decision as JSON, or why there is none."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A transaction as received."""

    body: bytes
    received_us: int
    """Wall clock."""


class ValidRequest(msgspec.Struct, frozen=True, gc=False):
    """One valid transaction of a request."""

    index: int
    """Of the transaction in its request."""
    tx: Transaction
    received_us: int
    segment: Segment
    """The clock's segment by which it was found valid."""
    claim: Claim
    dequeued_us: int
    """When its micro-batch or batch was taken up; wall clock."""


def read_transaction(received: Received, segment: Segment) -> Transaction | Problem:
    """The transaction, if it is valid on arrival under the log's acceptance rules."""
    event = read_event(received.body, decode_request)
    if isinstance(event, Rejected):
        return not_readable(received.body, event.field, event.reason)
    refusal = _unclear(received.body, event)
    if refusal is not None:
        return refusal
    # In whole ms, as the log's acceptance computes it.
    now_ms = event_time_ms(segment, received.received_us // 1000)
    tx = event if event.ts else msgspec.structs.replace(event, ts=now_ms)
    if tx.ts - now_ms > segment.future_ms:
        reason = f"ts={tx.ts} is {tx.ts - now_ms} ms ahead of now, more than {segment.future_ms}"
        return problem("not-valid", reason, "ts")
    if now_ms - tx.ts > segment.past_ms:
        reason = f"ts={tx.ts} is {now_ms - tx.ts} ms behind now, more than {segment.past_ms}"
        return problem("not-valid", reason, "ts")
    return tx


def not_readable(body: bytes, field: str, reason: str) -> Problem:
    """The problem of a body that cannot be decoded; `field` is "value" where that is no field's fault."""
    if field != "value":
        return problem("not-valid", reason, field)
    if body.startswith(_MARKS) or b"\0" in body[:4]:
        reason = "JSON is UTF-8 without a byte order mark: encode the body so"
    return problem("not-json", reason, field)


def _unclear(body: bytes, event: Transaction) -> Problem | None:
    """The problem of a request that can be decoded and does not say clearly what is meant."""
    key = repeated_key(body)
    if key is not None:
        return problem("not-valid", f"{key} stands twice; send it once", key)
    if event.ip is not None:
        try:
            ip_address(event.ip)
        except ValueError:
            reason = f"ip={event.ip!r} is no IPv4 or IPv6 address; correct it or leave it out"
            return problem("not-valid", reason, "ip")
    return None


def repeat_result(request: ValidRequest, prior: PriorClaim) -> ScoreResult:
    """The result of a request whose tx_id was claimed before; the prior claim has a decision or conflicts."""
    if not prior.same_body:
        return conflict(request.tx.tx_id)
    assert prior.decision is not None
    return prior.decision


def conflict(tx_id: str) -> Problem:
    return problem("conflict", f"tx_id {tx_id} was sent before with another body", "tx_id")


def in_flight_full(error: InFlightFullError) -> Problem:
    """The problem of too many transactions not yet read back from the log; counts it as shed."""
    metrics.SHED.labels("pending").inc()
    return problem("try-later", f"{error}: the log cannot keep up", "service")
