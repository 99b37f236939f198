"""The OpenAPI 3.1 document of the HTTP API, generated from the structs of requests and replies."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fraudsim import __version__
from fraudsim.log.events import Decision
from scorer.http.problems import MEDIA_TYPE, STATUS, TITLE, Kind, Problem
from scorer.http.schemas import (
    BatchReply,
    BatchRequest,
    ClockReply,
    HealthReply,
    ModelReply,
    ReadyReply,
    ScoreRequest,
)


@dataclass(frozen=True)
class Operation:
    """One method of one path: its body, its reply and its problems."""

    method: str
    path: str
    name: str
    summary: str
    reply: type[msgspec.Struct] | None
    problems: tuple[Kind, ...] = ()
    body: type[msgspec.Struct] | None = None
    token: bool = True


_BODY: Final[tuple[Kind, ...]] = (
    "not-json",
    "request-timeout",
    "too-large",
    "not-valid",
    "cross-site",
    "try-later",
)
_EVERY: Final[tuple[Kind, ...]] = (
    "method-not-allowed", "uri-too-long", "unsupported-encoding", "headers-too-large", "internal",
)  # fmt: skip
OPERATIONS: Final = (
    Operation(
        "post", "/v1/score", "score", "Decide one transaction.", Decision, (*_BODY, "conflict"),
        ScoreRequest
    ),
    Operation(
        "post", "/v1/score/batch", "scoreBatch", "Decide many transactions, each on its own.", BatchReply,
        _BODY, BatchRequest,
    ),
    Operation(
        "get", "/v1/decisions/{tx_id}", "decision",
        "The decision that HTTP replied in the last 10 minutes, less under load; those of the stream are not "
        "kept here.", Decision, ("not-found", "try-later"),
    ),
    Operation("get", "/v1/model", "model", "The model that decides.", ModelReply),
    Operation("get", "/v1/clock", "clock", "Event time now.", ClockReply),
    Operation("get", "/v1/openapi.json", "openapi", "This document.", None),
    Operation("get", "/healthz", "health", "Whether the process runs.", HealthReply, token=False),
    Operation(
        "get", "/readyz", "ready", "Whether it decides, and whether with state.", ReadyReply, ("try-later",),
        token=False,
    ),
)  # fmt: skip


def openapi() -> dict[str, Any]:
    """The document."""
    structs = {struct for op in OPERATIONS for struct in (op.reply, op.body) if struct is not None}
    structs.add(Problem)
    _, components = msgspec.json.schema_components(
        sorted(structs, key=lambda struct: struct.__name__), ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for op in OPERATIONS:
        paths.setdefault(op.path, {})[op.method] = _operation(op)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fraudsim scorer",
            "version": __version__,
            "description": "Decides card transactions. A body is JSON whatever its content type says.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(op: Operation) -> dict[str, Any]:
    kinds: tuple[Kind, ...] = (*op.problems, *_EVERY)
    operation: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "responses": {
            "200": _content("Success.", "application/json", op.reply),
            **{
                str(STATUS[kind]): _problem(kind)
                for kind in (*kinds, *(("unauthorized", "unknown-host") if op.token else ()))
            },
        },
    }
    if op.token:
        operation["security"] = [{}, {"token": []}]  # {} where no token is set
    if op.body is not None:
        operation["requestBody"] = {"required": True, **_content("", "application/json", op.body)}
        del operation["requestBody"]["description"]
    if "{tx_id}" in op.path:
        schema = {"type": "string", "minLength": 1, "maxLength": 64}
        operation["parameters"] = [{"name": "tx_id", "in": "path", "required": True, "schema": schema}]
    return operation


def _problem(kind: Kind) -> dict[str, Any]:
    response = _content(f"{TITLE[kind]}.", MEDIA_TYPE, Problem)
    headers = {"unauthorized": "WWW-Authenticate", "try-later": "Retry-After", "method-not-allowed": "Allow"}
    if kind in headers:
        response["headers"] = {headers[kind]: {"schema": {"type": "string"}}}
    return response


def _content(description: str, media_type: str, struct: type[msgspec.Struct] | None) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{struct.__name__}"} if struct else {"type": "object"}
    return {"description": description, "content": {media_type: {"schema": schema}}}
