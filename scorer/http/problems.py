"""Errors as problem documents (RFC 9457): kinds, statuses, titles."""

from typing import Final, Literal

import msgspec
from starlette.responses import Response

from fraudsim import metrics

MEDIA_TYPE: Final = "application/problem+json"

Kind = Literal[
    "not-json", "unauthorized", "not-found", "method-not-allowed", "request-timeout", "conflict", "too-large",
    "uri-too-long", "unsupported-encoding", "unknown-host", "cross-site", "not-valid", "headers-too-large",
    "internal", "try-later",
]  # fmt: skip

STATUS: Final[dict[Kind, int]] = {
    "not-json": 400, "unauthorized": 401, "not-found": 404, "method-not-allowed": 405, "request-timeout": 408,
    "conflict": 409, "too-large": 413, "uri-too-long": 414, "unsupported-encoding": 415, "not-valid": 422,
    "unknown-host": 421, "cross-site": 403, "headers-too-large": 431, "internal": 500, "try-later": 503,
}  # fmt: skip
TITLE: Final[dict[Kind, str]] = {
    "not-json": "The body is not JSON of the expected shape",
    "unauthorized": "A valid bearer token is needed",
    "not-found": "There is no such thing",
    "method-not-allowed": "The path does not take this method",
    "request-timeout": "The request did not come in time",
    "conflict": "The tx_id was used before for something else",
    "too-large": "The body is too large",
    "uri-too-long": "The URL is too long",
    "unsupported-encoding": "The body is encoded in a way that is not understood",
    "unknown-host": "The host is not one that is served here",
    "cross-site": "A page of another site may not send this",
    "not-valid": "A field is not valid",
    "headers-too-large": "The headers are too large",
    "internal": "The server failed",
    "try-later": "Not now; try again",
}
RETRY_AFTER: Final = {"retry-after": "1"}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457)."""

    type: str
    """A URN that names the kind of problem; it cannot be fetched."""
    title: str
    status: int
    detail: str
    field: str = ""
    """The part of the request at fault, such as `amount_cents`; `value` where it is the whole body."""


def problem(kind: Kind, detail: str, field: str = "") -> Problem:
    return Problem(
        type=f"urn:fraudsim:problem:{kind}",
        title=TITLE[kind],
        status=STATUS[kind],
        detail=detail,
        field=field,
    )


def problem_response(document: Problem, **headers: str) -> Response:
    """The problem as a reply."""
    metrics.HTTP_REPLIES.labels(str(document.status)).inc()
    if document.status == STATUS["try-later"]:
        headers = {**RETRY_AFTER, **headers}
    return Response(msgspec.json.encode(document), document.status, headers or None, MEDIA_TYPE)
