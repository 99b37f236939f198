"""What the terminal shows: steps as they happen, live figures, and the summary as a table."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from runner.record.observer import RunTally, percentiles

console = Console(highlight=False)
LINE_EVERY_S = 5.0
SHOW_EVERY_S = 0.5


def say(text: str) -> None:
    """One step of the run."""
    console.print(f"[dim]·[/dim] {text}")


class Progress:
    """Live figures of a run: a table on a terminal, a line every five seconds elsewhere."""

    def __init__(self, tally: RunTally, seconds: float | None, live: Live | None) -> None:
        self._tally = tally
        self._seconds = seconds
        self._live = live
        self._started = time.monotonic()
        self._shown = self._started
        self._last = (self._started, 0)

    def show(self, restarts: int = 0) -> None:
        """Show where things stand."""
        now = time.monotonic()
        if now - self._shown < (LINE_EVERY_S if self._live is None else SHOW_EVERY_S):
            return
        self._shown = now
        elapsed, tally = now - self._started, self._tally
        since, seen = self._last
        rate = (tally.seen - seen) / (now - since) if now > since else 0.0
        recent = percentiles(list(tally.latencies.recent_ms)[-max(100, int(rate * 5)) :])
        flagged = tally.seen - tally.actions.get("approve", 0)
        whole = f" of {self._seconds:g}" if self._seconds is not None else ""
        cells = {
            "seconds": f"{elapsed:.0f}{whole}",
            "decided": f"{tally.seen:,}",
            "tx/s": f"{rate:,.0f}",
            "p50 ms": _ms(recent["p50"]),
            "p99 ms": _ms(recent["p99"]),
            "flagged": f"{flagged:,}",
            "declined": f"{tally.actions.get('decline', 0):,}",
            "restarts": str(restarts),
        }
        if self._live is not None:
            table = Table(*cells, title="live")
            table.add_row(*cells.values())
            self._live.update(table)
        else:
            console.print("  " + "  ".join(f"{name} {value}" for name, value in cells.items()))
        if now - since >= 2:
            self._last = (now, tally.seen)


@contextmanager
def progress(tally: RunTally, seconds: float | None) -> Iterator[Progress]:
    """Show live figures while the block runs."""
    if sys.stdout.isatty():
        with Live(console=console, refresh_per_second=4) as live:
            yield Progress(tally, seconds, live)
    else:
        yield Progress(tally, seconds, None)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def print_summary(summary: dict[str, Any]) -> None:
    """The summary as tables for people."""
    counts = Table("sent", "decided", "lost", "duplicated", "dead letters", "tx/s", "restarts", title="run")
    counts.add_row(
        *(f"{summary[k]:,}" for k in ("sent", "decided", "lost", "duplicated", "dead_lettered")),
        f"{summary['throughput_tps']:,.0f}",
        str(sum(summary["restarts"].values())),
    )
    latency = Table(
        "ms", "p50", "p90", "p99", "p99.9", "max", title="latency, intended send to decision read back"
    )
    for name, key in (("fraudsim", "latency_ms"), ("null pipeline", "null_latency_ms")):
        values = summary[key]
        latency.add_row(name, *(_ms(values[q]) for q in ("p50", "p90", "p99", "p999", "max")))
    caught = Table("typology", "fraud", "caught", title="frauds flagged (step-up, review or decline)")
    for name, found in summary["by_typology"].items():
        caught.add_row(name, f"{found['fraud']:,}", f"{found['caught']:,}")
    for table in (counts, latency, caught):
        console.print(table)
    if summary["send_behind_s"]:
        console.print(
            f"the sender did not keep its schedule for {summary['send_behind_s']:.0f} s: "
            f"{summary['send_late']:,} transactions went out more than 30 ms late"
        )
    detection = summary["detection"]
    console.print(
        f"average precision {detection['average_precision']}   AUC {detection['auc']}   "
        f"card precision@100 {detection['card_precision_at_100']}   "
        f"false alarms {summary['false_alarms']:,}   model {summary['model']}"
    )
    _print_labels(summary["labels"])
    parity = summary.get("parity")
    if parity is not None:
        without = f"; {parity['degraded']:,} decided without state" if parity["degraded"] else ""
        console.print(
            f"parity: {parity['vectors']:,} vectors recomputed from the log, {parity['mismatches']} differ"
            + without
        )


def _print_labels(report: dict[str, Any]) -> None:
    """What came of the decisions, where a label feed ran."""
    if not report:
        return
    sent, came = report["sent"], report["decisions"]
    answers = ("confirmed", "denied", "unanswered")
    step_ups = ", ".join(f"{came.get(f'step_up_{answer}', 0):,} {answer}" for answer in answers)
    unseen = came.get("review_crowded_out", 0) + came.get("review_gone_stale", 0)
    reviews = f"{came.get('review_fraud', 0)} fraud, {came.get('review_cleared', 0)} cleared, {unseen} unseen"
    console.print(
        f"labels {sum(sent.values()):,}: {', '.join(f'{n:,} by {source}' for source, n in sent.items())}   "
        f"step-ups: {step_ups}   reviews: {reviews}"
    )
