"""Checks before routing: limits on URL and headers, host, other sites' pages, the bearer token."""

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from scorer.http.problems import Problem, problem, problem_response

MAX_URL_BYTES: Final = 2_048
MAX_HEADERS_BYTES: Final = 16_384
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Health probes need no token, and may ask by any name."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ENCODINGS: Final = {
    b"content-encoding": (b"", b"identity"),
    b"transfer-encoding": (b"chunked",),
}
"""By header, the values that leave a body as it is."""


class HttpGate:
    """ASGI middleware that refuses requests failing these checks."""

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str]) -> None:
        """`hosts` are the names, without ports, by which clients may ask."""
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(host.strip().strip("[]").lower().encode() for host in hosts)

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
        if scope["path"] not in OPEN_PATHS:
            refusal = self._foreign(scope["method"], headers)
            if refusal is not None:
                return refusal
        if self._token and scope["path"] not in OPEN_PATHS and not self._authorised(headers):
            return problem("unauthorized", "send the header Authorization: Bearer …", "authorization")
        for name, value in headers:
            if name in _ENCODINGS and value.strip().lower() not in _ENCODINGS[name]:
                return problem("unsupported-encoding", "send the body as it is", name.decode())
        return None

    def _foreign(self, method: str, all_headers: list[tuple[bytes, bytes]]) -> Problem | None:
        """Refuse what a browser sends for another site's page, and names that were pointed at this address.

        As Go's net/http.CrossOriginProtection; whoever sends neither header is no browser.
        """
        headers = dict(all_headers)
        if len(headers) < len(all_headers):
            names = [name for name, _ in all_headers]
            if names.count(b"host") > 1:
                return problem("unknown-host", "there is more than one Host header", "host")
            for name in (b"sec-fetch-site", b"origin"):
                if names.count(name) > 1:
                    return problem("cross-site", "there is more than one header of this name", name.decode())
        host = headers.get(b"host", b"")
        if host and _host_name(host) not in self._hosts:
            shown = host[:100].decode("ascii", "backslashreplace")
            return problem(
                "unknown-host", f"host={shown} is not served; FRAUDSIM_HTTP_HOSTS lists the names", "host"
            )
        if method in SAFE_METHODS:
            return None
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if site is not None:
            own = site in (b"same-origin", b"none")
            field = "sec-fetch-site"
        else:
            own = origin is None or origin.partition(b"://")[2] == host
            field = "origin"
        return None if own else problem("cross-site", "a page of another site may not send this", field)

    def _authorised(self, headers: list[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        # The token in constant time; the scheme is no secret.
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"


def _host_name(host: bytes) -> bytes:
    """The name or address in a Host header, without its port."""
    if host.startswith(b"["):
        return host[1:].partition(b"]")[0].lower()
    return host.partition(b":")[0].lower()


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
