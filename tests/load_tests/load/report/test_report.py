"""The files of a load, also of one in which nothing came back."""

import json
import math

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from load_tests.load.clocks.histograms import TOP_US, LatencyHistogram
from load_tests.load.clocks.records import pack_record, read_records
from load_tests.load.report.files import write_report
from load_tests.load.report.result import read_result, result_of
from load_tests.load.report.text import print_result
from load_tests.load.verdict.objectives import Objectives
from load_tests.load.verdict.verdict import reach_verdict
from tests.load_tests.load.samples import measurement, records_of

CASES = {
    "nothing sent": records_of([]),
    "one": records_of([5.0]),
    "no good answer": records_of([5.0] * 500, good=0),
    "never completed": records_of([-2e12] * 500, good=0),
    "many": records_of(np.linspace(1, 90, 4000)),
}
CONTEXT = {
    "target": "<t>",
    "rate": 100.0,
    "seconds": 4.0,
    "arrivals": "poisson",
    "seed": 1,
    "rounds": 1,
    "costs": {
        "processes": {
            "scorer": {"cpu_us": 512.5, "core_share": 0.05, "memory_mb": 321.0, "written_bytes": 7.0}
        }
    },
}


@pytest.mark.parametrize("name", CASES)
def test_every_load_leaves_a_result_and_a_page(name, tmp_path):
    measured = measurement(CASES[name], echo_p99_ms=math.inf if name == "nothing sent" else 0.5)
    objectives = Objectives({"p99": 95.0}, errors=0.01)
    verdict = reach_verdict(measured, objectives)
    lines = []
    result = result_of(measured, objectives, verdict, CONTEXT)
    write_report(tmp_path, measured, verdict, result)
    print_result(result, verdict, lines.append)
    written = json.loads((tmp_path / "result.json").read_text())
    expected = {"many": "met", "no good answer": "missed"}.get(name, "not measured")
    assert written["verdict"] == read_result(tmp_path)["verdict"] == expected
    assert lines[-1].startswith(f"{expected}: ")
    assert set(written["from_intended_ms"]) == {"p50", "p90", "p99", "p999", "max"}
    assert written["server_ms"] is None
    page = (tmp_path / "report.html").read_text()
    assert f"<h1>Load: {expected}</h1>" in page
    assert "&lt;t&gt;" in page
    assert "nan" not in page
    assert "<td>scorer</td>" in page
    assert "512.50" in page
    assert (tmp_path / "from_intended.hgrm").exists() == (name in ("one", "many"))


def test_histograms_are_within_a_thousandth_and_count_what_is_over_their_top():
    latencies_us = np.random.default_rng(1).lognormal(8, 1, 20_000).astype(np.int64)
    histogram = LatencyHistogram.of(np.append(latencies_us, TOP_US + 5))
    for q in (0.5, 0.9, 0.99, 0.999):
        assert histogram.quantile_ms(q) == pytest.approx(np.quantile(latencies_us, q) / 1000, rel=0.01)
    assert (histogram.over_top, histogram.count) == (1, 20_001)
    assert histogram.figures_ms()["max"] == (TOP_US + 5) / 1000


def test_a_record_cut_at_the_end_of_its_file_is_left_out(tmp_path):
    whole = [pack_record(n, (1, 2, 3, 4, 5), (0,) * 7, 200, True) for n in (2, 1)]
    (tmp_path / "records").write_bytes(b"".join(whole) + whole[0][:20])
    records = read_records(tmp_path / "records")
    assert records["number"].tolist() == [1, 2]
    assert (records["completed_us"].tolist(), records["good"].tolist()) == ([5, 5], [1, 1])
    with pytest.raises(FraudsimError, match="records"):
        read_records(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "not there"), ("{", r"malformed|truncated"), ('{"format": 99}', "format=99")],
)
def test_the_result_of_another_version_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(FraudsimError, match=message):
        read_result(tmp_path)
