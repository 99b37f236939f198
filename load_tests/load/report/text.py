"""The figures of a load as lines for a terminal."""

from collections.abc import Callable, Mapping
from typing import Any

from load_tests.load.clocks.histograms import QUANTILES
from load_tests.load.report.page import CLOCKS
from load_tests.load.verdict.objectives import SHOWN_NAMES
from load_tests.load.verdict.verdict import LoadVerdict


def print_result(result: Mapping[str, Any], verdict: LoadVerdict, say: Callable[[str], None]) -> None:
    """Print counts, the latency by each clock, and the verdict."""
    counts = ("scheduled", "sent", "late", "blocked", "completed", "errors")
    say("  ".join(f"{name} {result[name]:,}" for name in counts))
    rates = result["throughput"]
    say("per second: " + "  ".join(f"{name} {rate:,.1f}" for name, rate in rates.items()))
    shown = [name for name in QUANTILES if verdict.prints(name)]
    for key, clock in CLOCKS:
        figures = result[f"{key}_ms"]
        if figures is not None and figures["max"] is not None:
            values = "  ".join(f"{SHOWN_NAMES[name]} {figures[name]:,.2f}" for name in shown)
            say(f"ms {clock}: {values}  max {figures['max']:,.2f}")
    floor_ms = result.get("floor_ms")
    if floor_ms:
        say(f"ms of the null pipeline, a floor: p50 {floor_ms['p50']:,.2f}  p99 {floor_ms['p99']:,.2f}")
    for name in QUANTILES:
        interval = result["intervals_ms"].get(name)
        if interval is None:
            continue
        sample = f"effective sample {interval['effective_sample']:,.0f}"
        if name in shown:
            low, high = interval["low"], interval["high"]
            say(f"{SHOWN_NAMES[name]}: 95 % from {low} to {'?' if high is None else high} ms, {sample}")
        else:
            say(f"{SHOWN_NAMES[name]}: not printed, {sample} or the late sends do not bear it")
    say(f"{result['verdict']}: {result['why']}" + (" (partial)" if result["partial"] else ""))
