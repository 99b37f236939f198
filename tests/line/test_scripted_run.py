"""A scenario with bad data of every kind, a peak, an attack and an outage, played live twice."""

import pytest
from driving import run_line

from fraudsim.archive import read_log
from fraudsim.settings import Settings
from fraudsim.topics import DEAD_LETTERS, TRUTH
from runner.line import LineOptions

pytestmark = pytest.mark.stack
SCRIPT = """\
version: 1
events:
  - {event: fault, kind: late, from: 0s, until: 1d, share: 0.05, limits: 2}
  - {event: fault, kind: late, from: 0s, until: 1d, share: 0.05, limits: 0.5}
  - {event: fault, kind: out_of_order, from: 0s, until: 1d, share: 0.1, limits: 0.5}
  - {event: fault, kind: clock_skewed, from: 0s, until: 1d, share: 0.03, limits: 2}
  - {event: fault, kind: duplicated, from: 0s, until: 1d, share: 0.05}
  - {event: fault, kind: malformed, from: 0s, until: 1d, share: 0.05}
  - {event: attack, typology: card_testing, at: 10m, campaigns: 8}
  - {event: peak, from: 1h, until: 2h, times: 2}
  - {event: outage, merchant: m000003, from: 0s, until: 1d}
"""


def test_a_script_played_twice_gives_the_same_counts(tmp_path):
    (tmp_path / "script.yaml").write_text(SCRIPT)
    history = None
    counts = []
    for name in ("once", "again"):
        options = LineOptions(
            tmp_path / name, seconds=8, rate=80, cards=600, history_days=40, null_seconds=0,
            script=tmp_path / "script.yaml", reuse=history,
        )  # fmt: skip
        (tmp_path / name).mkdir()
        summary = run_line(options, Settings(_env_file=None, label_gap_days=7), brute_force=10)
        history = tmp_path / name
        assert summary["lost"] == summary["duplicated"] == 0
        assert summary["parity"]["mismatches"] == 0
        letters = read_log(history, DEAD_LETTERS, ["field"])["field"].to_pylist()
        truth = read_log(history, TRUTH, ["campaign_id"])["campaign_id"].to_pylist()
        attacks = {c for c in truth if c is not None and c.startswith("script-")}
        counts.append(
            (summary["sent"], summary["repeats"], summary["dead_lettered"], sorted(letters), sorted(attacks))
        )
    assert counts[0] == counts[1]
    sent, repeats, dead, letters, attacks = counts[0]
    assert sent > 300
    assert repeats > 10
    assert dead == len(letters) > 30
    assert {"ts", "amount_cents", "card_id"} <= set(letters)
    assert len(attacks) == 8
