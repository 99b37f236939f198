"""A line with a lag of its features: what is decided over the stream and over HTTP, and its parity."""

import json
import subprocess
import sys

import pyarrow.compute as pc
import pytest

from fraudsim.durations import duration_ms
from fraudsim.settings import with_features_lag
from runner.line.options import LineOptions
from stream_features.catalogue.features import NAMES
from stream_features.offline.archived_log import first_decisions
from stream_features.parity.check import ParityPlan, check_parity
from testing.rigs.live_line import ask_scorer, event_now_ms, kill, run_line, wait_for_decisions

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("lag", [pytest.param("5m", marks=pytest.mark.long), "1h"])
def test_decisions_are_marked_with_the_lag_and_recomputed_with_it(tmp_path, prepared, line_settings, lag):
    settings = with_features_lag(line_settings, lag)
    options = LineOptions(
        run_dir=tmp_path / "run", seconds=6, rate=200, cards=800, reuse=prepared, null_seconds=0
    )
    replies = []

    def during(line, observer):
        wait_for_decisions(line, observer, 300)
        for n in range(20):
            body = {
                "tx_id": f"asked-{n}", "card_id": "c0000001", "amount_cents": 100 + n,
                "merchant_id": "m000001", "ts": event_now_ms(line),
            }  # fmt: skip
            replies.append(ask_scorer(line, body))
        kill(line, "scorer")
        line.wait_for_ready("scorer")

    summary = run_line(options, settings, during)
    assert [status for status, _ in replies] == [200] * 20
    assert (summary["lost"], summary["duplicated"]) == (0, 0)
    decisions = first_decisions(options.run_dir)
    exact = decisions.filter(pc.invert(decisions["degraded"]))
    assert set(exact["features_lag_ms"].to_pylist()) == {duration_ms(lag)}
    assert set(exact["via"].to_pylist()) == {"stream", "http"}
    plan = ParityPlan(brute_force=40, sample=200)
    result = check_parity(options.run_dir, options.run_dir / "history", settings, plan)
    assert result.vectors > 1_000
    assert (result.mismatches, result.uncertain) == (0, 0)
    assert (result.by_brute_force, result.by_duckdb) == (40, 200)
    if lag == "1h":  # twenty payments within a minute, of which an hour later none would be left out
        asked = exact.filter(pc.starts_with(exact["tx_id"], "asked-")).sort_by([("tx_id", "ascending")])
        last = asked["features"][-1].as_py()
        assert len(asked) > 1
        assert last[NAMES.index("card_count_1m")] == 1


@pytest.mark.parametrize(("options", "variables", "message"), [
    (["--features-lag", "5x"], {}, "--features-lag 5x: '5x' is no duration: write a number and s, m, h or d"),
    (["--features-lag", "31d"], {}, "--features-lag 31d: at most 30d"),
    ([], {"FRAUDSIM_FEATURES_LAG": "soon"}, "FRAUDSIM_FEATURES_LAG='soon'"),
    (["--features-lag", "5m"], {"FRAUDSIM_TAIL_MAX_RECORDS": "9000"},
     "features lag 5m leaves the unfolded log out, so FRAUDSIM_TAIL_MAX_RECORDS=9000 contradicts it"),
])  # fmt: skip
@pytest.mark.parametrize("command", ["demo", "up", "scorer"])
def test_a_lag_that_cannot_be_is_refused_in_one_line(tmp_path, command, options, variables, message):
    process = subprocess.run(
        [sys.executable, "-m", "fraudsim", command, *options],
        env={"FRAUDSIM_RUNS_DIR": str(tmp_path / "runs"), "PATH": "", **variables}, capture_output=True,
        text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert process.returncode != 0
    assert message in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
    assert json.dumps("Traceback") not in process.stderr
    assert not (tmp_path / "runs").exists()
