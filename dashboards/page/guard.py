"""Who may read the page: whoever has its address. What a browser may do with it."""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scorer.http.gate import OPEN_PATHS

POLICY: Final = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
ASK_FOR_ADDRESS: Final = "open the address that `fraudsim up` or the page's log prints, with its key"
_OWN_SITES: Final = (b"same-origin", b"none")


class PageGuard:
    """ASGI middleware. Names of hosts are checked by the scorer's `HttpGate`, which stands before it."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        """`key` is what the address has in its query; a browser then has it in a cookie."""
        self._app = app
        self._key = key.encode()
        # Cookies do not tell ports apart: pages of two lines need two names.
        self._cookie = "fraudsim_page_" + hashlib.sha256(self._key).hexdigest()[:8]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        by_address = self._is_key(parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0])
        app = self._app
        if self._is_foreign(headers, scope["path"]):
            app = PlainTextResponse("a page of another site may not read this", 403)
        elif not by_address and not self._is_key(self._cookie_of(headers)):
            app = PlainTextResponse(ASK_FOR_ADDRESS, 401)
        set_cookie = [self._set_cookie()] if by_address and app is self._app else []

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [header for header in message["headers"] if header[0] != b"cache-control"]
                message = {**message, "headers": [*own, *HEADERS, *set_cookie]}
            await send(message)

        await app(scope, receive, send_guarded)

    def _is_key(self, value: str) -> bool:
        return hmac.compare_digest(value.encode("utf-8", "replace"), self._key)

    def _cookie_of(self, headers: list[tuple[bytes, bytes]]) -> str:
        for name, value in headers:
            if name == b"cookie":
                try:
                    morsel = SimpleCookie(value.decode("latin-1")).get(self._cookie)
                except CookieError:
                    continue
                if morsel is not None:
                    return morsel.value
        return ""

    def _set_cookie(self) -> tuple[bytes, bytes]:
        return (
            b"set-cookie",
            f"{self._cookie}={self._key.decode()}; Path=/; HttpOnly; SameSite=Strict".encode(),
        )

    @staticmethod
    def _is_foreign(headers: list[tuple[bytes, bytes]], path: str) -> bool:
        """Whether a browser asks for another site's page; a link to the page itself may stand anywhere."""
        host = next((value for name, value in headers if name == b"host"), b"")
        origins = [value for name, value in headers if name == b"origin"]
        if any(origin.partition(b"://")[2] != host for origin in origins):
            return True
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        return path != "/" and any(site not in _OWN_SITES for site in sites)
