"""Every process of the line killed with -9 in mid-run: nothing lost, nothing twice, state as recomputed."""

import pytest

from runner.line.options import LineOptions
from testing.rigs.live_line import check_state_equals_log, kill, run_line, wait_for_decisions

pytestmark = pytest.mark.stack


def test_kill_9_of_each_process_in_turn_loses_and_doubles_nothing(tmp_path, prepared, line_settings):
    def kill_each(line, observer):
        wait_for_decisions(line, observer, 200)
        for name in ("worker", "archiver", "producer", "scorer"):
            kill(line, name)
            wait_for_decisions(line, observer, observer.tally.decisions + 100)

    options = LineOptions(tmp_path / "run", seconds=14, rate=200, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, kill_each, check_state_equals_log)
    assert summary["sent"] > 1_500
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    assert summary["restarts"] == {"worker": 1, "scorer": 1, "archiver": 1, "producer": 1}
    assert summary["parity"]["mismatches"] == 0
    assert summary["parity"]["vectors"] == summary["sent"]
