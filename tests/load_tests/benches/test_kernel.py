"""The kernel's benchmark: its keys, its actions, and the shape of its report."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from load_tests.benches.kernel import one_key as bench_kernel
from load_tests.benches.kernel.one_key import SPANS, TYPICAL, actions, make_key
from load_tests.cli import app
from stream_features.catalogue.features import HASH
from stream_features.kernels import state


@pytest.mark.parametrize("entity", [entity for entity, _ in TYPICAL])
def test_a_key_has_so_many_events_within_its_span(entity):
    key = make_key(entity, 500, "1 h")
    assert state.canonical(entity, key.state.tobytes(), bench_kernel.HORIZON_MS) == key.state.tobytes()
    out = np.full(100, np.nan, np.float32)
    row = (key.newest + 1, *[7] * (state.KERNELS[entity].width - 1))
    assert state.KERNELS[entity].read(key.state, row, bench_kernel.HORIZON_MS, out)
    assert 501 in out or 500 in out  # a tile's head ends before the newest second


def test_reading_leaves_the_state_as_it_is_and_so_does_folding():
    key = make_key("merchant", 100, "30 d")
    before = key.state.tobytes()
    for _, action in actions(key):
        action()
    assert key.state.tobytes() == before


def test_the_report_has_machine_protocol_results_and_ratios(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_kernel, "CALLS", 2)
    out = tmp_path / "kernel.json"
    outcome = CliRunner().invoke(app, ["bench", "kernel", "--json", str(out), "--turns", "1"])
    assert outcome.exit_code == 0, outcome.output
    assert len(outcome.output.splitlines()) == len(TYPICAL)
    report = json.loads(out.read_text())
    assert report["configuration"]["catalogue"] == HASH
    assert {"machine", "protocol", "results", "ratios"} <= report.keys()
    assert set(report["ratios"]) == {f"{entity} scan per feature" for entity, _ in TYPICAL}
    measured = {(r["events"], r["span"]) for r in report["results"] if r["entity"] == "merchant"}
    assert {(100_000, span) for span in SPANS} <= measured
    for result in report["results"]:
        assert result["value"] > 0
        assert result["unit"] == "µs"
        assert len(result["turns"]) == 1
