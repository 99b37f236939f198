"""Terminal output of a run: its steps, live figures, and the summary as tables."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fraudsim.log.clock import event_span, in_event_time
from fraudsim.process.terminal import plain_console
from producers.ledger.ledger import Ledger
from runner.ledger.tables import print_ledger
from runner.record.latencies import percentiles
from runner.record.observer import RunTally

console = plain_console()
LINE_EVERY_S = 5.0
TABLE_EVERY_S = 0.5


def say(text: str) -> None:
    """Print one step of the run."""
    console.print(Text.assemble(("·", "dim"), " ", text))


class LiveFigures:
    """Live figures of a run: a table on a terminal, else a line every five seconds."""

    def __init__(self, tally: RunTally, seconds: float | None, speed: float, live: Live | None) -> None:
        """`speed` is the clock's, event seconds per wall second."""
        self._tally = tally
        self._seconds = seconds
        self._speed = speed
        self._live = live
        self._started_s = time.monotonic()
        self._shown_s = self._started_s
        self._rate_from = (self._started_s, 0)
        """Monotonic second and count of decisions from which the rate is counted."""

    def show(self, restarts: int = 0) -> None:
        """Show the figures, if the last time is long enough ago."""
        now_s = time.monotonic()
        if now_s - self._shown_s < (LINE_EVERY_S if self._live is None else TABLE_EVERY_S):
            return
        self._shown_s = now_s
        elapsed_s, tally = now_s - self._started_s, self._tally
        from_s, from_count = self._rate_from
        rate = (tally.decisions - from_count) / (now_s - from_s) if now_s > from_s else 0.0
        recent = percentiles(list(tally.latencies.recent_ms)[-max(100, int(rate * 5)) :])
        flagged = tally.decisions - tally.actions.get("approve", 0)
        planned = f" of {self._seconds:g}" if self._seconds is not None else ""
        figures = {
            "seconds": f"{elapsed_s:.0f}{planned}",
            "decided": f"{tally.decisions:,}",
            "tx/s": f"{rate:,.0f}",
            "p50 ms": _ms(recent["p50"]),
            "p99 ms": _ms(recent["p99"]),
            "in event time": "-" if recent["p99"] is None else event_span(recent["p99"], self._speed),
            "flagged": f"{flagged:,}",
            "declined": f"{tally.actions.get('decline', 0):,}",
            "restarts": str(restarts),
        }
        if self._live is not None:
            table = Table(*figures, title="live")
            table.add_row(*figures.values())
            self._live.update(table)
        else:
            console.print("  " + "  ".join(f"{name} {value}" for name, value in figures.items()))
        if now_s - from_s >= 2:
            self._rate_from = (now_s, tally.decisions)


@contextmanager
def live_figures(tally: RunTally, seconds: float | None, speed: float) -> Iterator[LiveFigures]:
    """Show live figures while the block runs."""
    if sys.stdout.isatty():
        with Live(console=console, refresh_per_second=4) as live:
            yield LiveFigures(tally, seconds, speed, live)
    else:
        yield LiveFigures(tally, seconds, speed, None)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def print_summary(summary: dict[str, Any]) -> None:
    """Print the content of `summary.json` as tables."""
    totals = Table("sent", "decided", "lost", "duplicated", "dead letters", "tx/s", "restarts", title="run")
    totals.add_row(
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
    console.print(totals, latency)
    _print_scale(summary)
    if "ledger" in summary:
        print_ledger(msgspec.convert(_with_campaigns(summary["ledger"]), Ledger))
    if summary["send_behind_s"]:
        console.print(
            f"the sender did not keep its schedule for {summary['send_behind_s']:.0f} s: "
            f"{summary['send_late']:,} transactions went out more than 30 ms late"
        )
    detection = summary["detection"]
    console.print(
        f"average precision {detection['average_precision']}   AUC {detection['auc']}   "
        f"card precision@100 {detection['card_precision_at_100']}   model {summary['model']}"
    )
    _print_labels(summary["labels"])
    _print_costs(summary.get("costs", {}))
    parity = summary.get("parity")
    if parity is not None:
        degraded = f"; {parity['degraded']:,} decided without state" if parity["degraded"] else ""
        console.print(
            f"parity: {parity['vectors']:,} vectors recomputed from the log, {parity['mismatches']} differ"
            + degraded
        )
    blocks = summary.get("blocks")
    if blocks is not None:
        console.print(
            f"blocks: {blocks['blocked']:,} transactions of blocked cards declined; found again from the log "
            f"for {blocks['decisions']:,} decisions, {blocks['mismatches']} differ"
        )


def _with_campaigns(figures: dict[str, Any]) -> dict[str, Any]:
    return {"campaigns": {}, **figures}


def _print_scale(summary: dict[str, Any]) -> None:
    """What the latencies are in event time, and the sender's part of them."""
    p50_ms, tick_ms = summary["latency_ms"]["p50"], summary.get("send_tick_ms")
    if p50_ms is not None:
        console.print(in_event_time(p50_ms, summary["speed"]))
    if tick_ms is not None:
        console.print(f"the sender handed over every {tick_ms:g} ms at the end: half of that is in every p50")


def _print_labels(report: dict[str, Any]) -> None:
    """Print the label feed's report; nothing if no label feed ran."""
    if not report:
        return
    sent, outcomes = report["sent"], report["decisions"]
    answers = ("confirmed", "denied", "unanswered")
    step_ups = ", ".join(f"{outcomes.get(f'step_up_{answer}', 0):,} {answer}" for answer in answers)
    unseen = outcomes.get("review_crowded_out", 0) + outcomes.get("review_gone_stale", 0)
    fraud, cleared = outcomes.get("review_fraud", 0), outcomes.get("review_cleared", 0)
    reviews = f"{fraud} fraud, {cleared} cleared, {unseen} unseen"
    console.print(
        f"labels {sum(sent.values()):,}: {', '.join(f'{n:,} by {source}' for source, n in sent.items())}   "
        f"step-ups: {step_ups}   reviews: {reviews}"
    )


def _print_costs(costs: dict[str, Any]) -> None:
    """Print CPU a transaction and memory by process; nothing if they were not measured."""
    processes = costs.get("processes")
    if not processes:
        return
    total_us = sum(cost["cpu_us"] for cost in processes.values())
    parts = ", ".join(
        f"{name} {cost['cpu_us']:,.0f}"
        for name, cost in sorted(processes.items(), key=lambda entry: -entry[1]["cpu_us"])
    )
    memory_mb = sum(cost["memory_mb"] for cost in processes.values())
    console.print(f"CPU µs a transaction: {total_us:,.0f} ({parts})   memory {memory_mb:,.0f} MB")
