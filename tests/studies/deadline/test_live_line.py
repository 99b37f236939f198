"""A real line under load, its scorer under two deadlines."""

import pytest

from studies.deadline.live_line import degraded_shares
from studies.deadline.plan import LiveLoads, load_name, refused_name


@pytest.mark.long
def test_a_line_says_how_many_decisions_were_degraded_at_each_deadline(tmp_path):
    plan = LiveLoads((5, 10_000), (50,), seconds=3.0, lines=1)
    shares = degraded_shares(tmp_path, plan, 1)
    names = [(deadline_ms, 50) for deadline_ms in (5, 10_000)]
    assert set(shares) == {name(*key) for key in names for name in (load_name, refused_name)}
    assert all(0 <= share <= 100 for share in shares.values())
    # Ten seconds are enough on any machine.
    assert shares[load_name(10_000, 50)] == 0
    assert (tmp_path / ".env").read_text() == "FRAUDSIM_DEADLINE_MS=10000\n"
