"""Steps that are commands of fraudsim, each kept when it is done, so that an interrupted bench goes on."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole

LOG: Final = "output.log"
STOP_S: Final = 150.0
Say = Callable[[str], None]


class StepOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a step came to: `done.json` in its folder."""

    command: list[str]
    """Of `fraudsim`, without the step's folder."""
    exit_code: int
    result: dict[str, Any]
    """Its `result.json`; empty if it wrote none."""


class KeptSteps:
    """Runs steps in folders of their own; a step that is done with the same command is not run again."""

    def __init__(self, folder: Path, stop: threading.Event, say: Say) -> None:
        self._folder = folder
        self._stop = stop
        self._say = say

    def done(self, name: str, command: list[str]) -> StepOutcome | None:
        """The outcome of a step that is done; None if it is not, or was another command."""
        try:
            outcome = msgspec.json.decode((self._folder / name / "done.json").read_bytes(), type=StepOutcome)
        except (OSError, msgspec.DecodeError):
            return None
        return outcome if outcome.command == command else None

    def run(self, name: str, command: list[str], *words: str) -> StepOutcome:
        """Run `fraudsim COMMAND WORDS --out FOLDER/NAME`, unless it is done; exit codes are results.

        Args:
            words: more of the command, which may differ in the next try, such as an address.

        Raises:
            FraudsimError: it could not start (exit code 2), or the bench was stopped.
        """
        kept = self.done(name, command)
        if kept is not None:
            self._say(f"{name}: kept")
            return kept
        out = self._folder / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self._say(f"{name}: fraudsim {' '.join(command)}")
        with (out / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fraudsim", *command, *words, "--out", str(out)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            self._await(process)
        if self._stop.is_set():
            raise FraudsimError("bench load: interrupted; the same command goes on from there")
        if process.returncode not in (0, 1, 3):
            lines = (out / LOG).read_text(errors="replace").strip().splitlines() or [
                "it ended without a word"
            ]
            raise FraudsimError(f"bench load: {name}: {lines[-1].removeprefix('error: ')} ({out / LOG})")
        result = out / "result.json"
        outcome = StepOutcome(
            command=command,
            exit_code=process.returncode,
            result=msgspec.json.decode(result.read_bytes()) if result.exists() else {},
        )
        write_whole(out / "done.json", msgspec.json.encode(outcome))
        return outcome

    def _await(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for its end; a stop is passed on."""
        while process.poll() is None:
            if self._stop.wait(0.2):
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
