"""Parity of 300,000 served vectors: what it finds, and how long it takes, which `-s` shows."""

import time

import pytest

from fraudsim.settings import Settings
from stream_features.parity.check import ParityPlan, check_parity
from testing.samples.traffic import write_traffic

SETTINGS = Settings(_env_file=None)


@pytest.mark.parametrize(
    ("cards", "days", "least"), [(300, 2, 1_000), pytest.param(5_000, 24, 300_000, marks=pytest.mark.long)]
)
def test_a_world_s_served_vectors_are_all_found_right(cards, days, least, tmp_path):
    served = write_traffic(tmp_path, SETTINGS, cards, history_days=5 if days < 5 else 40, days=days)
    assert served > least
    started, used = time.perf_counter(), time.process_time()
    history, sample = tmp_path / "history", min(5_000, least)
    result = check_parity(tmp_path, history, SETTINGS, ParityPlan(5, sample, staleness=True))
    took, processor = time.perf_counter() - started, time.process_time() - used
    print(f"{result.vectors:,} vectors checked in {took:.0f} s, {processor:.0f} of processor time")
    assert (result.vectors, result.mismatches, result.missing_pending) == (served, 0, 0)
    assert result.by_duckdb == sample
