"""Where the page takes controls: checked, given an id and an event time, and appended to `run.control`."""

import asyncio
import hmac
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from dashboards.page.log_feed import LogFeed
from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_TIME_MS, RunControl
from fraudsim.settings import Settings
from producers.controls.control_log import append_control
from producers.controls.controls import POLICIES, problem_of
from producers.scenario.script_file import PACED, TYPOLOGIES

HEADER: Final = "x-fraudsim-control"
MAX_BODY_BYTES: Final = 4_096
STREAM_KINDS: Final = ("attack", "drift", "rate", "pause", "resume")
"""What the producer follows, wherever it runs."""
PROCESS_KINDS: Final = ("kill", "stop", "model", "policy")
"""What the supervisor of a run carries out."""
PARTS: Final = ("worker", "scorer", "redis")
_OWN_FIELDS: Final = ("control_id", "ts", "schema_version")
"""What nobody else may set."""


class RefusedError(Exception):
    """A control is not taken; the status of the reply, and its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class ControlDesk:
    """Takes controls from whoever has the token."""

    def __init__(self, settings: Settings, feed: LogFeed, token: str, run: Path | None) -> None:
        """Without `run` there is no supervisor to kill anything, as in compose."""
        self._bootstrap = settings.kafka_bootstrap
        self._feed, self._token, self._run = feed, token.encode(), run

    def offer(self) -> dict[str, Sequence[str]]:
        """What may be asked for. Reads the registry's folder."""
        return {
            "kinds": self._kinds,
            "typologies": TYPOLOGIES,
            "paced": PACED,
            "parts": PARTS,
            "models": self._models(),
            "policies": POLICIES,
        }

    @property
    def _kinds(self) -> Sequence[str]:
        return STREAM_KINDS if self._run is None else (*STREAM_KINDS, *PROCESS_KINDS)

    def _models(self) -> list[str]:
        if self._run is None:
            return []
        from model.registry.versions import list_versions  # takes a second, and few ask for it

        return list_versions(self._run / "models")

    async def take(self, token: str, body: bytes) -> RunControl:
        """Append what a body asks for.

        Raises:
            RefusedError: the token is wrong, the body is no control, there is no log, or Kafka takes nothing.
        """
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._token):
            raise RefusedError(403, f"header {HEADER} must have the token of the printed address's #control=")
        control = await asyncio.to_thread(self._control, self._event_time_ms(), body)
        try:
            await asyncio.to_thread(append_control, self._bootstrap, control)
        except FraudsimError as error:
            raise RefusedError(503, str(error)) from None
        return control

    def _event_time_ms(self) -> int:
        state = self._feed.state
        if state is None or not state.clock:
            raise RefusedError(503, "no log yet: there is nothing to control")
        return min(max(state.clock.now_ms(time.time() * 1000), 0), MAX_TIME_MS)

    def _control(self, ts: int, body: bytes) -> RunControl:
        try:
            fields = msgspec.json.decode(body, type=dict[str, Any])
            odd = [name for name in fields if name not in RunControl.__struct_fields__ or name in _OWN_FIELDS]
            if odd:
                raise RefusedError(400, f"{odd[0][:60]}: a control has no such field")
            own = {"control_id": f"c{secrets.token_hex(4)}", "ts": ts}
            control = msgspec.convert({**fields, **own}, RunControl)
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(400, f"no control: {' '.join(str(error).split())[:300]}") from None
        problem = problem_of(control)
        if problem is None and control.kind not in self._kinds:
            problem = f"kind: a {control.kind} cannot be asked for here"
        if problem is None and control.kind == "model" and control.version not in self._models():
            problem = f"version: the run's registry has no {control.version}"
        if problem is not None:
            raise RefusedError(400, problem)
        return control
