"""The orderly end of a run: the last decisions, the fold to the log's end, and the stop of each process."""

from typing import Final

from fraudsim.polling import poll_until
from runner.line.line import POLL_S, Line
from runner.line.probes import log_is_folded
from runner.record.observer import RunTally

QUIET_S: Final = 15.0
"""If nothing is decided for this long after the last send, the missing decisions are lost."""
SCRIPT_QUIET_S: Final = 4.0
"""The same with a script: its bad data is never decided, so that every run waits this long."""
LABELS_S: Final = 90.0
FOLD_S: Final = 60.0


def drain(line: Line, tally: RunTally) -> None:
    """After the last send: wait for the decisions and the fold, then stop the processes, the archiver last.

    Raises:
        FraudsimError: a part was given up, or the label feed or the worker did not finish in time.
    """
    quiet_s = QUIET_S if line.options.script is None else SCRIPT_QUIET_S
    await_last_decisions(tally, line.planned(), quiet_s)
    if line.options.consequences:
        if line.done("producer"):
            line.wait_for("the label feed", lambda: line.done("labels"), LABELS_S)
        line.supervisor.stop("labels")
    line.wait_for("the feature worker to catch up", lambda: log_is_folded(line.settings), FOLD_S)
    for name in ("producer", "scorer", "worker", "archiver"):
        line.supervisor.stop(name)


def await_last_decisions(tally: RunTally, expected: int, quiet_s: float = QUIET_S) -> None:
    """Wait until the stream has `expected` decisions, or none has been added for `quiet_s` seconds."""
    while (count := tally.stream_decisions) < expected:
        if not poll_until(lambda count=count: tally.stream_decisions > count, quiet_s, every_s=POLL_S):  # type: ignore[misc]
            return
