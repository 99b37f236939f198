"""The target of an HTTP load, checked by one request before the load."""

import ipaddress
import os
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from fraudsim.addresses import open_direct
from fraudsim.errors import FraudsimError
from load_tests.load.generators.plan import BATCH_PATH, SCORE_PATH

TIMEOUT_S: Final = 15.0
CLOCK_TIMEOUT_S: Final = 5.0
TOKEN_VARIABLE: Final = "FRAUDSIM_HTTP_TOKEN"  # noqa: S105  (its name)
SHOWN: Final = 120


@dataclass(frozen=True)
class HttpTarget:
    """Where an HTTP load goes."""

    url: str
    """With its path."""
    fraudsim: bool
    host: str
    loopback: bool

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return self.host, parts.port or (443 if parts.scheme == "https" else 80)


class _Clock(msgspec.Struct):
    """What identifies fraudsim's scorer."""

    now_ms: int
    log_id: str


def find_target(url: str, has_body: bool, batch: int, allowed_host: str | None) -> HttpTarget:
    """The target that a URL names.

    Args:
        has_body: whether bodies come from a file; then any endpoint that takes POST is a target.
        batch: transactions in a request.
        allowed_host: the host that may be loaded besides this machine.

    Raises:
        FraudsimError: it is no URL, not there, not fraudsim, or a host that was not named.
    """
    parts = urlsplit(url)
    try:
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise FraudsimError(f"--url {url}: name an address such as http://127.0.0.1:8000")
    loopback = _is_loopback(parts.hostname)
    if not loopback and allowed_host != parts.hostname:
        raise FraudsimError(
            f"--url {url}: {parts.hostname} is another machine; name it by --allow-host {parts.hostname} "
            "if you may load it"
        )
    base = f"{parts.scheme}://{parts.netloc}"
    fraudsim = _is_fraudsim(base, url)
    if not fraudsim and not has_body:
        raise FraudsimError(
            f"--url {url}: {base}/v1/clock is not fraudsim's; for another service name its whole URL and "
            "--body FILE"
        )
    path = parts.path
    if fraudsim and path in ("", "/"):
        path = SCORE_PATH if batch == 1 else BATCH_PATH
    if fraudsim and path == BATCH_PATH and batch == 1:
        raise FraudsimError(f"--url {url}: {BATCH_PATH} takes --batch N")
    is_scoring = fraudsim and path in (SCORE_PATH, BATCH_PATH)
    whole = urlunsplit((parts.scheme, parts.netloc, path or "/", parts.query, ""))
    return HttpTarget(whole, is_scoring, parts.hostname, loopback)


def _is_loopback(host: str) -> bool:
    try:
        found_addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FraudsimError(f"--url: no address for {host}: {error.strerror}") from None
    return all(
        ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found_addresses
    )


def _is_fraudsim(base: str, url: str) -> bool:
    try:
        with open_direct(_request(f"{base}/v1/clock"), CLOCK_TIMEOUT_S) as answer:
            msgspec.json.decode(answer.read(65_536), type=_Clock)
            return True
    except urllib.error.HTTPError as error:
        if error.code in (401, 403) and _speaks_problems(error):
            raise FraudsimError(_token_message(url, error.code)) from None
        return False
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ConnectionRefusedError | socket.gaierror):
            raise FraudsimError(f"--url {url}: nothing answers there: {reason}; is it started?") from None
        return False  # it may take POST to its own path only; the first request will show
    except HTTPException:
        return False


def _speaks_problems(error: urllib.error.HTTPError) -> bool:
    return "problem+json" in (error.headers.get("Content-Type") or "")


def _token_message(url: str, status: int) -> str:
    if os.environ.get(TOKEN_VARIABLE):
        return f"--url {url}: it refuses the token in {TOKEN_VARIABLE} ({status}); set the scorer's"
    return f"--url {url}: it wants a token ({status}); set {TOKEN_VARIABLE}"


def check_answer(target: HttpTarget, body: bytes) -> bool:
    """Send one request, as the load will, while another connection is open and idle.

    Returns:
        Whether it was answered although that connection was idle: a server that serves one connection at a
        time would wait for it, so to such a one no connection may be open before it is needed.

    Raises:
        FraudsimError: it is not answered, or answered by 4xx.
    """
    try:
        idle = socket.create_connection(target.address, timeout=CLOCK_TIMEOUT_S)
    except OSError as error:
        raise FraudsimError(f"--url {target.url}: it takes no connection: {error}") from None
    with idle:
        try:
            _ask(target, body, CLOCK_TIMEOUT_S)
            return True
        except TimeoutError:
            pass
    _ask(target, body, TIMEOUT_S)
    return False


def _ask(target: HttpTarget, body: bytes, timeout_s: float) -> None:
    """Send a request. Raises FraudsimError as `check_answer` does, TimeoutError after a short wait."""
    try:
        with open_direct(_request(target.url, body), timeout_s) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        detail = " ".join(error.read(SHOWN).decode(errors="replace").split())
        if error.code in (401, 403) and target.fraudsim:
            raise FraudsimError(_token_message(target.url, error.code)) from None
        if 400 <= error.code < 500 and error.code != 429:
            raise FraudsimError(
                f"--url {target.url}: it answers {error.code} to the first request: {detail}; "
                "check the path and the body"
            ) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError) and timeout_s < TIMEOUT_S:
            raise TimeoutError from None
        raise FraudsimError(f"--url {target.url}: the first request got no answer: {reason}") from None
    except HTTPException as error:
        raise FraudsimError(f"--url {target.url}: it does not speak HTTP: {error!r}") from None


def _request(url: str, body: bytes | None = None) -> urllib.request.Request:
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return urllib.request.Request(url, body, headers)  # noqa: S310  (the scheme is checked)
