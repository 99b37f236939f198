"""The page of a load: one self-contained HTML file, in both themes."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from fraudsim.drawing.pages import figure, html_page
from load_tests.load.autopsy.clock_gap import ClockGap
from load_tests.load.autopsy.slowest import SlowRequest
from load_tests.load.autopsy.waterfall import Waterfall
from load_tests.load.clocks.histograms import QUANTILES, LatencyHistogram
from load_tests.load.clocks.lateness import LATE_FLOOR_US
from load_tests.load.report import plots
from load_tests.load.verdict.measurement import Measurement
from load_tests.load.verdict.objectives import SHOWN_NAMES
from load_tests.load.verdict.verdict import ECHO_WORDS, LoadVerdict
from load_tests.rig.scheduling import NORMAL

CLOCKS: Final = (
    ("from_intended", "from the intended send"),
    ("from_sent", "from the send, as a tool that waits reports"),
    ("server", "the server's own"),
)


def page(
    result: Mapping[str, Any],
    measurement: Measurement,
    verdict: LoadVerdict,
    histograms: Mapping[str, LatencyHistogram | None],
    falls: Sequence[Waterfall],
    slow: Sequence[SlowRequest],
    gap: ClockGap | None,
) -> str:
    """The page as text."""
    objectives_ms = {
        QUANTILES[key.removesuffix("_ms")]: limit
        for key, limit in result["objectives"].items()
        if key.endswith("_ms")
    }
    title = f"Load: {verdict.word}" + (", partial" if measurement.partial else "")
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(verdict.why)}.</p>",
        f'<p class="quiet">{escape(str(result.get("target", "")))}</p>',
        _facts(result),
        "<h2>Latency</h2>",
        _latency_table(result, verdict),
        figure(plots.draw_percentiles(histograms, objectives_ms), _gap(gap), wide=True),
        _gap_section(gap),
        figure(plots.draw_over_time(measurement.records, verdict.lateness), "", wide=True),
        figure(plots.draw_throughput(measurement.records), "", wide=True),
        _waterfall_section(falls),
        _slowest_section(slow, int(measurement.records["intended_us"].min()) if slow else 0),
        _costs_section(result.get("costs", {})),
        _errors_section(result["error_kinds"]),
        _conditions(result),
    ]
    return html_page(title, body)


def _facts(result: Mapping[str, Any]) -> str:
    rate = result["throughput"]
    facts = (
        ("scheduled", f"{result['scheduled']:,}"),
        ("sent", f"{result['sent']:,}"),
        ("completed", f"{result['completed']:,}"),
        ("errors", f"{result['errors']:,}"),
        ("late", f"{result['late']:,}"),
        ("blocked", f"{result['blocked']:,}"),
        ("intended / s", f"{rate['intended']:,.1f}"),
        ("sent / s", f"{rate['sent']:,.1f}"),
        ("completed / s", f"{rate['completed']:,.1f}"),
    )
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>'


def _latency_table(result: Mapping[str, Any], verdict: LoadVerdict) -> str:
    shown = [name for name in QUANTILES if verdict.prints(name)]
    heads = "".join(f"<th>{SHOWN_NAMES[name]}</th>" for name in shown)
    rows = []
    for key, clock in CLOCKS:
        figures = result[f"{key}_ms"]
        if figures is None:
            continue
        cells = "".join(_number(figures[name]) for name in (*shown, "max"))
        rows.append(f"<tr><td>{clock}</td>{cells}</tr>")
    spans = "".join(f'<td class="number">{_span(result["intervals_ms"][name])}</td>' for name in shown)
    rows.append(f'<tr><td>95 % interval, from the intended send</td>{spans}<td class="number"></td></tr>')
    samples = "".join(
        f'<td class="number">{result["intervals_ms"][name]["effective_sample"]:,.0f}</td>' for name in shown
    )
    rows.append(f'<tr><td>effective sample</td>{samples}<td class="number"></td></tr>')
    left_out = [SHOWN_NAMES[name] for name in QUANTILES if name not in shown]
    note = (
        f'<p class="quiet">{", ".join(left_out)}: not shown, the sample or the late sends do not bear it.</p>'
        if left_out
        else ""
    )
    return (
        f'<div class="wide"><table><tr><th>ms</th>{heads}<th>max</th></tr>{"".join(rows)}</table></div>{note}'
    )


def _number(value: float | None) -> str:
    return f'<td class="number">{"-" if value is None else f"{value:,.2f}"}</td>'


def _span(interval: Mapping[str, Any]) -> str:
    low, high = interval["low"], interval["high"]
    return f"{'?' if low is None else f'{low:,.2f}'} to {'?' if high is None else f'{high:,.2f}'}"


def _gap(gap: ClockGap | None) -> str:
    """Where the clocks disagree, in words."""
    if gap is None:
        return ""
    words = (
        f"The clocks differ most at {SHOWN_NAMES[gap.quantile]}: {gap.intended_ms:,.2f} ms from the intended "
        f"send, {gap.sent_ms:,.2f} from the send, {gap.intended_ms - gap.sent_ms:,.2f} less."
    )
    if not _tells(gap):
        return f"{words} They agree."
    return f"{words} {gap.requests:,} requests make the difference."


def _tells(gap: ClockGap) -> bool:
    """Whether the clocks differ by more than a send may be late."""
    return 1000 * (gap.intended_ms - gap.sent_ms) > LATE_FLOOR_US


def _gap_section(gap: ClockGap | None) -> str:
    """The requests that make the difference, by the spans in which they were due."""
    if gap is None or not gap.spans or not _tells(gap):
        return ""
    rows = "".join(
        f'<tr><td class="number">{span.from_s:,.3f}</td><td class="number">{span.until_s:,.3f}</td>'
        f'<td class="number">{span.requests:,}</td>'
        f"<td>{span.first_number:,} to {span.last_number:,}</td>"
        f'<td class="number">{span.worst_wait_ms:,.2f}</td><td>{escape(span.reason)}</td></tr>'
        for span in gap.spans
    )
    shown = sum(span.requests for span in gap.spans)
    rest = f" {gap.requests - shown:,} more are in <code>result.json</code>." if shown < gap.requests else ""
    return (
        "<h2>Which requests make the difference</h2>"
        f'<p class="quiet">Slower than {gap.sent_ms:,.2f} ms from their intended time, and not from their '
        f"send.{rest}</p>"
        '<div class="wide"><table><tr><th>due from s</th><th>to s</th><th>requests</th><th>numbers</th>'
        f"<th>longest wait, ms</th><th>kept by</th></tr>{rows}</table></div>"
    )


def _waterfall_section(falls: Sequence[Waterfall]) -> str:
    if not falls:
        return ""
    caption = "Each bar is the mean of the requests around that quantile, not the quantile of each stage."
    return f"<h2>Waterfall</h2>{figure(plots.draw_waterfalls(falls), caption, wide=True)}"


def _slowest_section(slow: Sequence[SlowRequest], start_us: int) -> str:
    if not slow:
        return ""
    rows = "".join(
        f'<tr><td class="number">{request.latency_ms:,.2f}</td>'
        f'<td class="number">{(request.intended_us - start_us) / 1e6:,.3f}</td>'
        f'<td>{escape(request.longest_stage)}</td><td class="number">{request.longest_ms:,.2f}</td>'
        f"<td>{escape(request.explanation)}</td></tr>"
        for request in slow
    )
    return (
        '<h2>The slowest</h2><div class="wide"><table><tr><th>ms</th><th>at s</th><th>longest stage</th>'
        f"<th>ms of it</th><th>meanwhile</th></tr>{rows}</table></div>"
    )


def _costs_section(costs: Mapping[str, Any]) -> str:
    processes = costs.get("processes")
    if not processes:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{_number(cost['cpu_us'])}{_number(100 * cost['core_share'])}"
        f"{_number(cost['memory_mb'])}{_number(cost['written_bytes'])}"
        f"{_number(cost.get('sent_bytes'))}{_number(cost.get('received_bytes'))}</tr>"
        for name, cost in processes.items()
    )
    return (
        '<h2>What it costs</h2><div class="wide"><table><tr><th>process</th><th>CPU µs a transaction</th>'
        "<th>% of a core</th><th>memory MB</th><th>bytes to disk a transaction</th><th>sent over TCP</th>"
        "<th>received</th></tr>"
        f"{rows}</table></div>"
    )


def _errors_section(kinds: Mapping[str, int]) -> str:
    if not kinds:
        return ""
    rows = "".join(
        f'<tr><td class="number">{count:,}</td><td>{escape(kind)}</td></tr>'
        for kind, count in sorted(kinds.items(), key=lambda entry: -entry[1])
    )
    return (
        f'<h2>Errors</h2><div class="wide"><table><tr><th>requests</th><th>what</th></tr>{rows}</table></div>'
    )


def _floor(floor_ms: Mapping[str, float | None] | None) -> str:
    """What the same schedule takes through a bare relay on the same broker."""
    if not floor_ms:
        return "-"
    figures = (f"{SHOWN_NAMES[name]} {floor_ms[name]:,.2f}" for name in ("p50", "p99") if floor_ms.get(name))
    return f"{', '.join(figures)} ms through a bare relay: the floor of this broker and machine"


def _conditions(result: Mapping[str, Any]) -> str:
    machine, generator = result.get("environment", {}), result["generator"]
    echo, echo_word = generator["echo_p99_ms"], ECHO_WORDS[result["kind"]]
    schedule = (
        f"{result.get('arrivals')}, seed {result.get('seed')}, {result.get('rate'):g}/s for "
        f"{result.get('seconds'):g} s, {result.get('rounds')} rounds"
    )
    wakes = f"{generator['probe_late']:,} of {generator['probe_wakes']:,} wakes late"
    hardware = (
        f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB, "
        f"load {machine.get('load_average')}"
    )
    facts = {
        "command": machine.get("command"),
        "arrivals": schedule,
        "restarts": result.get("restarts"),
        "late above": f"{result['late_limit_ms']:g} ms; {result['late_allowed']:.3%} of the sends may be",
        "the generator alone": "-" if echo is None else f"p99 {echo:.2f} ms against a {echo_word}",
        "null pipeline": _floor(result.get("floor_ms")),
        "its scheduling": generator.get("scheduling", NORMAL),
        "its loop": f"{wakes}, the worst by {generator['probe_max_ms']:.2f} ms",
        "machine": hardware,
        "versions": ", ".join(f"{name} {number}" for name, number in machine.get("versions", {}).items()),
    }
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    return f'<h2>Conditions</h2><div class="wide"><table>{rows}</table></div>'
