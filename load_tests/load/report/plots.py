"""Plots of a load: latency by quantile, latency and throughput over time, stages."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from fraudsim.arrays import Ints
from fraudsim.drawing.plot import Plot, text_px
from fraudsim.drawing.scales import Tick, linear_ticks, log_ticks, round_up
from fraudsim.drawing.themes import FRAUD, PALETTE, QUIET
from load_tests.load.autopsy.waterfall import TITLES, Waterfall
from load_tests.load.clocks.histograms import LatencyHistogram
from load_tests.load.clocks.lateness import Lateness
from load_tests.load.clocks.records import Records

COLOURS: Final = {"from intended": PALETTE[1], "from sent": PALETTE[0], "server": PALETTE[2]}
TAILS: Final[list[Tick]] = [
    (1.0, "0"), (0.5, "50 %"), (0.1, "90 %"), (0.01, "99 %"), (0.001, "99.9 %"), (0.0001, "99.99 %"),
    (0.00001, "99.999 %"),
]  # fmt: skip
LOWEST_MS: Final = 0.01


def draw_percentiles(
    histograms: Mapping[str, LatencyHistogram | None], objectives_ms: Mapping[float, float]
) -> str:
    """Latency by quantile on a log scale of 1 − q: each tenth part of the requests has the same width."""
    curves = {
        name.replace("_", " "): h.curve() for name, h in histograms.items() if h is not None and h.count
    }
    if not curves:
        return ""
    count = max(h.count for h in histograms.values() if h is not None)
    highest = max(
        *(float(latencies.max()) for _, latencies in curves.values()), *objectives_ms.values(), LOWEST_MS
    )
    lowest = max(LOWEST_MS, min(float(latencies.min()) for _, latencies in curves.values()))
    plot = Plot(
        "Latency by percentile",
        "From the intended send, from the send, and as the server says; the gap between the first two is "
        "what a tool that waits for answers leaves out.",
        width=1060, height=340, top=40,
    )  # fmt: skip
    lowest_tail = 1 / max(count, 100)
    # The scale of the tail is reversed: further to the right is rarer.
    x = plot.x_scale(1.0, 1 / lowest_tail, log=True)
    y = plot.y_scale(lowest * 0.8, highest * 1.25, log=True)
    plot.y_axis(y, log_ticks(lowest * 0.8, highest * 1.25), "ms")
    ticks = [(1 / tail, label) for tail, label in TAILS if tail >= lowest_tail]
    plot.x_axis(x, ticks, "share of requests not slower", lines=True)
    for q, limit_ms in objectives_ms.items():
        if 1 - q >= lowest_tail:
            plot.dot(x(1 / (1 - q)), y(limit_ms), FRAUD, f"objective: {limit_ms:g} ms at {q:.1%}", radius=5)
    for name, (quantiles, latencies) in curves.items():
        tails = [min(1 / max(1 - q, lowest_tail), 1 / lowest_tail) for q in quantiles]
        plot.line(tails, [max(v, lowest) for v in latencies.tolist()], x, y, COLOURS[name])
    plot.legend([(name, COLOURS[name]) for name in curves])
    return plot.render()


def draw_over_time(records: Records, lateness: Lateness) -> str:
    """The latency of each second: median, 99th percentile and maximum, from intended."""
    seconds, _, count = _seconds(records)
    if count < 2:
        return ""
    good = records["good"] == 1
    rows = []
    for second in range(count):
        own = good & (seconds == second)
        if own.any():
            latencies_ms = (records["completed_us"][own] - records["intended_us"][own]) / 1000
            rows.append((second + 0.5, *np.quantile(latencies_ms, [0.5, 0.99, 1.0]).tolist()))
    if not rows:
        return ""
    xs, medians, tails, maxima = (list(column) for column in zip(*rows, strict=True))
    low, high = max(LOWEST_MS, min(medians) * 0.8), max(maxima) * 1.25
    plot = Plot(
        "Latency over time", f"By second of the intended send; the slowest took {max(maxima):,.1f} ms.",
        width=1060, height=260, top=40,
    )  # fmt: skip
    x, y = plot.x_scale(0, count), plot.y_scale(low, high, log=True)
    plot.y_axis(y, log_ticks(low, high), "ms from the intended send")
    plot.x_axis(x, linear_ticks(0, count, 10), "s")
    colours = [("median", PALETTE[0]), ("99 %", PALETTE[1]), ("slowest", PALETTE[3])]
    stretches = _stretches(xs)
    for values, (_, colour) in zip((medians, tails, maxima), colours, strict=True):
        for stretch in stretches:
            plot.line(xs[stretch], [max(value, low) for value in values[stretch]], x, y, colour)
    late = np.bincount(np.clip(seconds[lateness.late], 0, count - 1), minlength=count)
    for second in np.nonzero(late)[0].tolist():
        plot.dot(x(second + 0.5), y(low), FRAUD, f"second {second}: {late[second]} late sends", radius=3)
    plot.legend([*colours, *([("late sends", FRAUD)] if late.any() else [])])
    return plot.render()


def draw_throughput(records: Records) -> str:
    """Requests of each second: intended, sent, completed."""
    _, start_us, count = _seconds(records)
    if count < 2:
        return ""
    plot = Plot(
        "Throughput", "Requests intended, sent and completed in each second.", width=1060, height=220, top=40
    )
    series = {}
    for name in ("intended", "sent", "completed"):
        times = records[f"{name}_us"]
        index = (times[times > 0] - start_us) // 1_000_000
        series[name] = np.bincount(np.clip(index, 0, count - 1), minlength=count).tolist()
    top = round_up(max(max(values) for values in series.values()))
    x, y = plot.x_scale(0, count), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top), "requests a second")
    plot.x_axis(x, linear_ticks(0, count, 10), "s")
    xs = [second + 0.5 for second in range(count)]
    for (_, values), colour in zip(series.items(), (PALETTE[1], PALETTE[0], PALETTE[2]), strict=True):
        plot.line(xs, values, x, y, colour)
    plot.legend([("intended", PALETTE[1]), ("sent", PALETTE[0]), ("completed", PALETTE[2])])
    return plot.render()


def draw_waterfalls(falls: Sequence[Waterfall]) -> str:
    """Each quantile's request as a bar of its stages."""
    if not falls:
        return ""
    height = 26
    # Room for two rows of legend.
    plot = Plot(
        "Waterfall", "The stages of the requests at each quantile, in ms.",
        width=1060, height=64 + height * len(falls) + 50, left=110, top=60,
    )  # fmt: skip
    marks = list(dict.fromkeys(mark for fall in falls for mark in fall.stages_ms))
    colours = dict(zip(marks, [*PALETTE, *PALETTE], strict=False))
    longest_ms = max(sum(fall.stages_ms.values()) for fall in falls)
    x = plot.x_scale(0, round_up(max(longest_ms, LOWEST_MS)))
    plot.x_axis(
        x, linear_ticks(0, round_up(max(longest_ms, LOWEST_MS)), 8), "ms from the intended send", lines=True
    )
    for row, fall in enumerate(falls):
        top, at_ms = plot.top + row * height, 0.0
        plot.text(
            plot.left - 8, top + 15, f"{fall.name} {fall.latency_ms:,.2f} ms", anchor="end", colour=QUIET
        )
        for mark, stage_ms in fall.stages_ms.items():
            width = x(at_ms + max(stage_ms, 0)) - x(at_ms)
            plot.bar(x(at_ms), top, width, height - 6, colours[mark], f"{TITLES[mark]}: {stage_ms:.3f} ms")
            at_ms += max(stage_ms, 0)
    _legend_rows(plot, [(TITLES[mark], colours[mark]) for mark in marks])
    return plot.render()


def _legend_rows(plot: Plot, entries: Sequence[tuple[str, str]]) -> None:
    rows: list[list[tuple[str, str]]] = [[]]
    for entry in entries:
        used_px = sum(text_px(name) + 34 for name, _ in rows[-1])
        if used_px + text_px(entry[0]) + 34 > plot.width - plot.right - 10:
            rows.append([])
        rows[-1].append(entry)
    for number, row in enumerate(rows):
        plot.legend(row, y=16 + 18 * number)


def _stretches(xs: Sequence[float]) -> list[slice]:
    """The parts of a series of seconds between which seconds are missing, as between two rounds."""
    cuts = [index for index in range(1, len(xs)) if xs[index] - xs[index - 1] > 1]
    return [slice(start, end) for start, end in pairwise([0, *cuts, len(xs)])]


def _seconds(records: Records) -> tuple[Ints, int, int]:
    """Each record's second of the intended send, the start in µs, and the number of seconds."""
    if not len(records):
        return np.zeros(0, dtype=np.int64), 0, 0
    start_us = int(records["intended_us"].min())
    seconds = (records["intended_us"] - start_us) // 1_000_000
    return seconds, start_us, int(seconds.max()) + 1
