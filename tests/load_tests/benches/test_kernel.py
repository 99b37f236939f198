"""The kernel's benchmark measures what it says, and its report has the shape that all benchmarks have."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from load_tests.benches.kernel import one_key as bench_kernel
from load_tests.benches.kernel.one_key import SPANS, TYPICAL, actions, make_case
from load_tests.cli import app
from stream_features.catalogue.features import HASH
from stream_features.kernels import state


@pytest.mark.parametrize("entity", [entity for entity, _ in TYPICAL])
def test_a_case_is_one_key_s_state_with_so_many_events_within_its_span(entity):
    case = make_case(entity, 500, "1 h")
    assert state.canonical(entity, case.state.tobytes(), bench_kernel.HORIZON_MS) == case.state.tobytes()
    out = np.full(100, np.nan, np.float32)
    row = (case.newest + 1, *[7] * (state.KERNELS[entity].width - 1))
    assert state.KERNELS[entity].read(case.state, row, bench_kernel.HORIZON_MS, out)
    assert 501 in out or 500 in out  # a tile's head ends before the newest second


def test_reading_leaves_the_state_as_it_is_and_so_does_folding():
    case = make_case("merchant", 100, "30 d")
    before = case.state.tobytes()
    for _, action in actions(case):
        action()
    assert case.state.tobytes() == before


def test_the_report_has_machine_protocol_results_and_ratios(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_kernel, "CALLS", 2)
    out = tmp_path / "kernel.json"
    done = CliRunner().invoke(app, ["bench", "kernel", "--json", str(out), "--turns", "1"])
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == len(TYPICAL)
    report = json.loads(out.read_text())
    assert report["configuration"]["catalogue"] == HASH
    assert {"machine", "protocol", "results", "ratios"} <= report.keys()
    assert set(report["ratios"]) == {f"{entity} scan per feature" for entity, _ in TYPICAL}
    seen = {(r["events"], r["span"]) for r in report["results"] if r["entity"] == "merchant"}
    assert {(100_000, span) for span in SPANS} <= seen
    for result in report["results"]:
        assert result["value"] > 0
        assert result["unit"] == "µs"
        assert len(result["turns"]) == 1
