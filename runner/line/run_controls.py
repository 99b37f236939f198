"""What somebody asks of a run's processes on `run.control`: carried out by the run's own supervisor."""

import signal
import threading
from pathlib import Path
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.log.events import RunControl
from producers.controls.control_log import ControlFollower
from producers.controls.controls import describe
from runner.line.options import Say
from runner.supervise.supervisor import Supervisor

KINDS: Final = ("kill", "stop", "model", "policy")
"""The others are the producer's and the label feed's to follow."""


class RunControls:
    """Follows the controls that concern a run's processes, its model or its policy. A context manager."""

    def __init__(self, bootstrap: str, supervisor: Supervisor, run_dir: Path, say: Say) -> None:
        self._supervisor, self._run_dir, self._say = supervisor, run_dir, say
        self._follower = ControlFollower(
            bootstrap, lambda control, _: self._carry_out(control), on_failure=self._say_failure
        )
        self._wakers: dict[str, threading.Timer] = {}
        """By part that stands still: what lets it go on."""

    def __enter__(self) -> "RunControls":
        self._follower.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._follower.__exit__()
        for part in list(self._wakers):
            self._wake(part)

    def _say_failure(self) -> None:
        self._say(
            f"kill, stop, model and policy are not carried out any more: {self._follower.failure}; "
            "the run goes on, start it again to have them"
        )

    def _carry_out(self, control: RunControl) -> None:
        if control.kind not in KINDS:
            return
        self._say(f"control: {describe(control)}")
        try:
            if control.kind == "model":
                self._promote(str(control.version))
            elif control.kind == "policy":
                self._exchange_policy(str(control.version))
            elif control.kind == "kill":
                self._supervisor.signal(str(control.part), signal.SIGKILL)
            else:
                self._stop(str(control.part), control.seconds or 0.0)
        except FraudsimError as error:
            self._say(f"control {control.control_id} failed: {error}")

    def _stop(self, part: str, seconds: float) -> None:
        """Let a part stand still; asked again meanwhile, the later end counts."""
        waker = self._wakers.pop(part, None)
        if waker is not None:
            waker.cancel()
        self._supervisor.signal(part, signal.SIGSTOP)
        waker = self._wakers[part] = threading.Timer(seconds, self._wake, [part])
        waker.daemon = True
        waker.start()

    def _wake(self, part: str) -> None:
        waker = self._wakers.pop(part, None)
        if waker is not None:
            waker.cancel()
        self._supervisor.signal(part, signal.SIGCONT)

    def _promote(self, version: str) -> None:
        from model.artefact.files import load_model
        from model.registry.aliases import promote
        from model.registry.versions import change_aliases, folder_of, list_versions

        registry = self._run_dir / "models"
        if version not in list_versions(registry):
            raise FraudsimError(f"version: {registry} has no {version}")
        load_model(folder_of(registry, version))  # refused here, not by the scorer
        change_aliases(registry, lambda aliases: promote(aliases, version))

    def _exchange_policy(self, version: str) -> None:
        from scorer.policy.file import SHIPPED
        from scorer.policy.store import put, rollback

        folder = self._run_dir / "policy"
        if version == "shipped":
            put(SHIPPED, folder)
        else:
            rollback(folder)
