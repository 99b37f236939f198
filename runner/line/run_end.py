"""The orderly end of a run: last decisions, fold to the end of the log, stop of the processes, summary."""

import json
from collections.abc import Mapping
from typing import Any, Final

from fraudsim.archive.log_files import read_log
from fraudsim.log import topics
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.polling import poll_until
from producers.world.settings import consequences
from runner.ledger.run_ledger import ledger_figures, run_ledger, write_ledger
from runner.line.line import POLL_S, Line
from runner.record.latencies import Latencies
from runner.record.manifest import write_manifest
from runner.record.observer import RunTally
from runner.record.summary import RunFigures, summarise, write_summary
from scorer.explain.block_check import check_blocks
from stream_features.parity.check import ParityPlan, check_parity

QUIET_S: Final = 15.0
"""If nothing is decided for this long after the last send, the missing decisions are lost."""
SCRIPT_QUIET_S: Final = 4.0
"""The same with a script: its bad data is never decided, so that every run waits this long."""
BRUTE_FORCE: Final = 40
"""Served vectors that are also recomputed by brute force; the kernel recomputes all of them."""


def drain(line: Line, tally: RunTally) -> None:
    """After the last send: wait for the decisions and the fold, then stop the processes, the archiver last.

    Raises:
        FraudsimError: a part was given up, or the label feed or the worker did not finish in time.
    """
    quiet_s = QUIET_S if line.options.script is None else SCRIPT_QUIET_S
    await_last_decisions(tally, line.planned(), quiet_s)
    line.stop_parts()


def await_last_decisions(tally: RunTally, expected: int, quiet_s: float = QUIET_S) -> None:
    """Wait until the stream has `expected` decisions, or none has been added for `quiet_s` seconds."""
    while (count := tally.stream_decisions) < expected:
        if not poll_until(lambda count=count: tally.stream_decisions > count, quiet_s, every_s=POLL_S):  # type: ignore[misc]
            return


def close_and_summarise(
    line: Line,
    seconds: float,
    latencies: Latencies,
    null_latencies: Latencies,
    brute_force: int = BRUTE_FORCE,
    *,
    costs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the manifest, end all processes, check parity and write the summary.

    Args:
        costs: CPU, memory and disk by process, if they were measured.

    Returns:
        The content of `summary.json`.
    """
    run_dir, settings = line.run_dir, line.settings
    clock_log = ClockLog(settings.kafka_bootstrap, Clock())
    clock_log.refresh()
    write_manifest(run_dir, line.history, clock_log.clock, settings, line.options)
    restarts = line.supervisor.restarts
    line.supervisor.close()
    ledger = run_ledger(run_dir, settings)
    write_ledger(run_dir, ledger)
    model = json.loads((run_dir / "model" / "manifest.json").read_text())
    figures = RunFigures(
        planned=line.planned(),
        seconds=seconds,
        speed=line.speed,
        latencies=latencies,
        null_latencies=null_latencies,
        restarts={name: n for name, n in restarts.items() if n},
        model_version=model["version"],
        ledger=ledger_figures(ledger),
    )
    summary = summarise(run_dir, figures)
    decisions = read_log(run_dir, topics.DECISIONS, ["offset"]).num_rows
    line.say(f"parity: recomputing {decisions:,} served vectors from the archived log")
    parity = check_parity(run_dir, run_dir / "history", settings, ParityPlan(brute_force))
    summary["parity"] = {
        name: getattr(parity, name)
        for name in (
            "vectors",
            "features",
            "mismatches",
            "degraded",
            "uncertain",
            "missing_pending",
            "by_brute_force",
        )
    }
    if costs is not None:
        summary["costs"] = costs
    if line.options.consequences:
        blocks = check_blocks(run_dir, consequences(settings).block_ms)
        summary["blocks"] = {
            "decisions": blocks.checked, "blocked": blocks.blocked, "mismatches": len(blocks.differ),
        }  # fmt: skip
    write_summary(run_dir, summary)
    return summary
