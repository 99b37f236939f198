"""What every request passes first: limits on its URL and headers, and the token where one is set."""

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
"""Who watches over the process needs no token."""


class HttpGate:
    """Lets through what may go on to the app."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        refused = self._refused(scope) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
            return
        more = {"www-authenticate": "Bearer"} if refused.status == 401 else {}
        await problem_response(refused, **more)(scope, receive, send)

    def _refused(self, scope: Scope) -> Problem | None:
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
        given = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        # In constant time; the scheme is no secret.
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"


class Shortcut:
    """Hands POST of one path straight to its endpoint: the router and its middleware take as long as it."""

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        failed: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        """All else is for `app`; `failed` answers where `endpoint` raised."""
        self._app = app
        self._path = path
        self._endpoint = endpoint
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await self._endpoint(request)
        except Exception as error:
            await (await self._failed(request, error))(scope, receive, send)
            raise  # on its way to the server's log
        await response(scope, receive, send)
