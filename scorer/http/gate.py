"""Checks before routing: limits on the URL and headers, and the bearer token where one is set."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from scorer.http.problems import Problem, problem, problem_response

MAX_URL_BYTES: Final = 2_048
MAX_HEADERS_BYTES: Final = 16_384
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Health probes need no token."""


class HttpGate:
    """ASGI middleware that refuses requests failing these checks."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        extra_headers = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
        await problem_response(refusal, **extra_headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            return problem("uri-too-long", f"the URL is over the limit of {MAX_URL_BYTES} bytes", "url")
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if sum(len(name) + len(value) for name, value in headers) > MAX_HEADERS_BYTES:
            limit = f"the headers are over the limit of {MAX_HEADERS_BYTES} bytes"
            return problem("headers-too-large", limit, "headers")
        if self._token and scope["path"] not in OPEN_PATHS and not self._authorised(headers):
            return problem("unauthorized", "send the header Authorization: Bearer …", "authorization")
        for name, value in headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                return problem("unsupported-encoding", "send the body as it is", "content-encoding")
        return None

    def _authorised(self, headers: list[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        # The token in constant time; the scheme is no secret.
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"


class Shortcut:
    """Calls one POST endpoint directly: the router and its middleware cost as much time as the endpoint."""

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        failed: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        """All other requests go to `app`; `failed` answers where `endpoint` raised."""
        self._app = app
        self._path = path
        self._endpoint = endpoint
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await self._endpoint(request)
        except Exception as error:
            await (await self._failed(request, error))(scope, receive, send)
            raise  # for the server's log
        await response(scope, receive, send)
