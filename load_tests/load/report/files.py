"""The files of a load: `result.json`, `report.html`, and a `.hgrm` of each clock."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from load_tests.load.autopsy.clock_gap import clock_gap
from load_tests.load.autopsy.happenings import Happening
from load_tests.load.autopsy.slowest import slowest_requests
from load_tests.load.autopsy.waterfall import waterfalls
from load_tests.load.clocks.histograms import QUANTILES
from load_tests.load.report.page import page
from load_tests.load.report.result import histograms_of, write_result
from load_tests.load.verdict.measurement import Measurement
from load_tests.load.verdict.objectives import SHOWN_NAMES
from load_tests.load.verdict.verdict import LoadVerdict

DRAWN: Mapping[str, float] = {SHOWN_NAMES[name]: q for name, q in QUANTILES.items() if name != "p90"}


def write_report(
    folder: Path,
    measurement: Measurement,
    verdict: LoadVerdict,
    result: Mapping[str, Any],
    happenings: Sequence[Happening] = (),
) -> None:
    """Write all files of a load.

    Raises:
        FraudsimError: one cannot be written.
    """
    histograms = histograms_of(measurement)
    drawn = {name: q for name, q in DRAWN.items() if len(measurement.good) * (1 - q) >= 1}
    falls = waterfalls(measurement.good, drawn)
    borne = {name: q for name, q in QUANTILES.items() if verdict.prints(name)}
    gap = clock_gap(measurement.records, verdict.lateness, borne)
    slow = slowest_requests(measurement.records, verdict.lateness, happenings)
    result = {
        **result,
        "clock_gap": None if gap is None else gap.as_json(),
        "waterfall_ms": {
            fall.name: {name: round(stage_ms, 3) for name, stage_ms in fall.stages_ms.items()}
            for fall in falls
        },
        "slowest": [
            {
                "number": request.number,
                "ms": request.latency_ms,
                "longest_stage": request.longest_stage,
                "longest_ms": request.longest_ms,
                "meanwhile": request.explanation,
            }
            for request in slow
        ],
    }
    try:
        for name, histogram in histograms.items():
            path = folder / f"{name}.hgrm"
            path.unlink(missing_ok=True)
            if histogram is not None and histogram.count:
                write_whole(path, histogram.hgrm())
        write_whole(folder / "report.html", page(result, measurement, verdict, histograms, falls, slow, gap))
        write_result(folder, result)
    except OSError as error:
        raise FraudsimError(
            f"--out {folder}: {error.strerror}; the records are in records-*.bin there"
        ) from None
