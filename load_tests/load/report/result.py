"""`result.json`: the figures of a load, and the verdict on them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim import __version__
from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from load_tests.load.clocks.histograms import QUANTILES, LatencyHistogram
from load_tests.load.clocks.records import Records
from load_tests.load.verdict.measurement import Measurement
from load_tests.load.verdict.objectives import Objectives
from load_tests.load.verdict.verdict import LoadVerdict

RESULT_FILE: Final = "result.json"
FORMAT: Final = 1
"""Number of the result's layout."""


def histograms_of(measurement: Measurement) -> dict[str, LatencyHistogram | None]:
    """Histograms of the good answers: from intended, from sent, and the server's own if it stamps."""
    good = measurement.good
    from_server = server_us(good)
    return {
        "from_intended": LatencyHistogram.of(good["completed_us"] - good["intended_us"]),
        "from_sent": LatencyHistogram.of(good["completed_us"] - good["sent_us"]),
        "server": None if from_server is None else LatencyHistogram.of(from_server),
    }


def server_us(records: Records) -> Any:
    """What the server says it took, µs, of the answers that have its stamps; None if none has."""
    stamped = records[(records["received"] > 0) & (records["decided"] > 0)]
    return stamped["decided"] - stamped["received"] if len(stamped) else None


def result_of(
    measurement: Measurement, objectives: Objectives, verdict: LoadVerdict, context: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of `result.json`. Latencies are of good answers, in ms, of every quantile of the sample;
    `borne` names those that the effective sample and the late sends allow to be believed."""
    records, histograms = measurement.records, histograms_of(measurement)
    figures = {
        f"{name}_ms": None if histogram is None else histogram.figures_ms()
        for name, histogram in histograms.items()
    }
    return {
        "format": FORMAT,
        "fraudsim": __version__,
        "kind": measurement.kind,
        "partial": measurement.partial,
        "scheduled": measurement.scheduled,
        "sent": int((records["sent_us"] > 0).sum()),
        "late": verdict.lateness.late_count,
        "blocked": verdict.lateness.blocked_count,
        "completed": int((records["completed_us"] > 0).sum()),
        "errors": len(records) - len(measurement.good),
        **figures,
        "throughput": throughput(measurement),
        "verdict": verdict.word,
        "why": verdict.why,
        "objectives": objectives.as_json(),
        "claimed": verdict.claimed,
        "borne": [name for name in QUANTILES if verdict.prints(name)],
        "intervals_ms": {
            name: {
                "low": round(interval.low_ms, 3) if interval.low_ms != float("inf") else None,
                "high": None if interval.high_ms is None else round(interval.high_ms, 3),
                "effective_sample": round(interval.effective, 1),
                "batches": interval.batches,
            }
            for name, interval in verdict.intervals.items()
        },
        "late_limit_ms": verdict.lateness.limit_us / 1000,
        "late_allowed": verdict.late_allowed,
        "over_top": {n: h.over_top for n, h in histograms.items() if h is not None},
        "generator": {
            "echo_p99_ms": finite(measurement.echo_p99_ms),
            "workers": measurement.health.workers,
            "scheduling": measurement.health.scheduling,
            "lost_workers": measurement.health.lost_workers,
            "probe_wakes": measurement.health.probe_wakes,
            "probe_late": measurement.health.probe_late,
            "probe_max_ms": round(measurement.health.probe_max_ms, 3),
            "cpu_s": round(measurement.health.cpu_s, 3),
        },
        "error_kinds": dict(measurement.errors),
        **context,
    }


def throughput(measurement: Measurement) -> dict[str, float]:
    """Requests a second: of the schedule, written, and answered well; by the time that each of them took."""
    records, good, seconds = measurement.records, measurement.good, max(measurement.seconds, 1e-9)
    if not len(records):
        return {"intended": 0.0, "sent": 0.0, "completed": 0.0}
    sent_s = completed_s = 0.0
    round_s = seconds / max(1, len(set(measurement.rounds.tolist())))
    for number in sorted(set(measurement.rounds.tolist())):
        own = records[measurement.rounds == number]
        start_us = int(own["intended_us"].min())
        sent_s += max(round_s, (int(own["sent_us"].max()) - start_us) / 1e6)
        completed_s += max(round_s, (int(own["completed_us"].max()) - start_us) / 1e6)
    return {
        "intended": round(measurement.scheduled / seconds, 2),
        "sent": round(int((records["sent_us"] > 0).sum()) / sent_s, 2),
        "completed": round(len(good) / completed_s, 2),
    }


def write_result(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write `result.json`; returns its path."""
    path = folder / RESULT_FILE
    write_whole(path, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    return path


def read_result(folder: Path) -> dict[str, Any]:
    """The result of an earlier load.

    Raises:
        FraudsimError: there is none, or it is of another version's layout.
    """
    path = folder / RESULT_FILE
    try:
        result: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise FraudsimError(f"{path}: not there; name the --out folder of `fraudsim load run`") from None
    except OSError as error:
        raise FraudsimError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise FraudsimError(f"{path}: {error}; run the load again") from None
    if result.get("format") != FORMAT:
        raise FraudsimError(
            f"{path}: format={result.get('format')} is another version's, this program reads {FORMAT}; "
            "run the load again"
        )
    return result


def finite(value: float | None) -> float | None:
    """The value for JSON, which has no infinity."""
    return value if value is not None and math.isfinite(value) else None
