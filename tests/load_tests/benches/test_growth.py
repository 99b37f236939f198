"""The growth benchmark: the rival computes what it says, and the plot shows every line."""

import json

import numpy as np
from typer.testing import CliRunner

from load_tests.benches.kernel import growth as bench_growth
from load_tests.benches.kernel import one_key as bench_kernel
from load_tests.benches.kernel.growth import HEAT, NOW, PER_DAY, recompute, rows_over, series
from load_tests.cli import app
from stream_features.catalogue.features import DAY, HOUR, LONGEST


def test_the_rival_recomputes_each_window_from_its_events():
    rows, windows = rows_over("merchant", 3_000, 2 * DAY), np.array([HOUR, DAY, LONGEST])
    out = np.empty((3, 5), np.int64)
    recompute(rows, NOW, windows, 64, out)
    for window_ms, recomputed in zip(windows, out, strict=True):
        inside = rows[(rows[:, 0] >= NOW - window_ms) & (rows[:, 0] < NOW)]
        amounts = inside[:, 1]
        distinct = min(64, len(np.unique(inside[:, 2])))
        expected = [len(inside), amounts.sum(), (amounts**2).sum(), amounts.max(), distinct]
        assert recomputed.tolist() == expected


def test_a_report_and_its_plot_have_every_line(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_growth, "CALLS", 1)
    monkeypatch.setattr(bench_kernel, "CALLS", 1)
    out, plot = tmp_path / "growth.json", tmp_path / "growth.svg"
    outcome = CliRunner().invoke(
        app, ["bench", "growth", "--json", str(out), "--svg", str(plot), "--turns", "1"]
    )
    assert outcome.exit_code == 0, outcome.output
    report = json.loads(out.read_text())
    assert {"machine", "protocol", "configuration", "results", "ratios"} == report.keys()
    for entity in PER_DAY:
        for name in ("read", "fold", "recompute"):
            assert [r["at"] for r in series(report["results"], "heat", entity, name)] == list(HEAT)
    sizes = [r["bytes"] for r in series(report["results"], "history", "merchant", "read")]
    assert sizes[-1] < 1.2 * sizes[-3]  # a year of history, beside its last month
    # Three panels of six lines, two of four.
    assert plot.read_text().count("<polyline") == 3 * 6 + 2 * 4


def test_a_plot_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_growth, "bench_growth", lambda turns: {"results": [], "ratios": {}})
    monkeypatch.setattr("load_tests.benches.kernel.growth_plot.growth_svg", lambda report: "")
    options = ["--json", str(tmp_path / "g.json"), "--svg", str(tmp_path / "no" / "g.svg")]
    outcome = CliRunner().invoke(app, ["bench", "growth", *options])
    assert "No such file or directory" in str(outcome.exception)
