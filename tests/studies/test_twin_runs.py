"""The study of twin runs, with runs that were made by hand."""

import json
import sys
from dataclasses import replace

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.labels.consequences import Consequences
from producers.ledger.account import WEEK_MS, Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Fraud
from producers.ledger.ledger import ledger_of
from studies import twin_runs
from studies.twin_runs import TwinPlan, page_of, study
from tests.producers.ledger.test_book import payment

PLAN = TwinPlan(seeds=(4, 5), seconds=3, rate=10, cards=1_000, history_days=20)
PAID = {
    "base": (1_000, 3_000),
    "no-blocks": (6_000, 9_000),
    "no-reactions": (1_000, 2_000),
    "blocks-of-3-days": (2_000, 3_000),
}


@pytest.fixture
def commands(monkeypatch):
    """The commands run, each with what its environment adds; no process is started."""
    found = []

    class Done:
        returncode = 0

    def run(argv, env, **_):
        added = {name: env[name] for name in env if name.startswith("FRAUDSIM_CONSEQUENCES")}
        found.append((argv[3:], added))
        return Done()

    def ledger(run_dir, _):
        cents = PAID[run_dir.name][PLAN.seeds.index(int(run_dir.parent.name.removeprefix("seed-")))]
        entries = entries_of(
            [Posting(payment(0, 10**9, "approve", cents), Fraud("leaked_card", "c"))],
            Consequences(), 7,
        )  # fmt: skip
        return ledger_of(entries, Basis(1_000, WEEK_MS))

    monkeypatch.setattr(twin_runs.subprocess, "run", run)
    monkeypatch.setattr(twin_runs, "run_ledger", ledger)
    return found


def test_each_seed_has_one_base_and_twins_of_its_history(tmp_path, commands):
    result = study(tmp_path, Settings(_env_file=None), PLAN)
    assert len(commands) == 8
    for seed, runs in zip(PLAN.seeds, (commands[:4], commands[4:]), strict=True):
        base, no_blocks, no_reactions, long_blocks = runs
        folder = tmp_path / f"seed-{seed}"
        assert base[0][:2] == ["demo", "--reacting"]
        assert (base[1], "--reuse" in base[0]) == ({}, False)
        assert no_blocks[1] == {"FRAUDSIM_CONSEQUENCES__BLOCK_HOURS": "0"}
        assert no_blocks[0][:2] == ["demo", "--reacting"]
        assert (no_reactions[1], "--reacting" in no_reactions[0]) == ({}, False)
        assert long_blocks[1] == {"FRAUDSIM_CONSEQUENCES__BLOCK_HOURS": "72"}
        for words, _ in (no_blocks, no_reactions, long_blocks):
            assert words[-2:] == ["--reuse", str(folder / "base")]
    assert result.net_loss_by_seed["no blocks"] == [6_000, 9_000]
    paired = result.differences["no blocks"]
    assert (paired.net_loss.pairs, paired.net_loss.mean) == (2, 5_500)
    assert paired.fraud_paid_by_typology["leaked_card"].mean == 5_500
    assert json.loads((tmp_path / "twin_runs.json").read_text())["seeds"] == [4, 5]
    assert "+55.00 (" in (tmp_path / "twin_runs.md").read_text()
    assert "paid: leaked card" in page_of(result).markdown()


def test_in_the_fast_forward_twins_share_history_and_model(tmp_path, commands):
    result = study(tmp_path, Settings(_env_file=None), replace(PLAN, days=30))
    generate, base, no_blocks, no_reactions, _ = (words for words, _ in commands[:5])
    folder = tmp_path / "seed-4"
    world = ["--seed", "4", "--cards", "1000", "--days", "20"]
    assert generate == ["world", "generate", "--out", str(folder / "history"), *world]
    for words in (base, no_blocks, no_reactions):
        assert words[words.index("--history") + 1] == str(folder / "history")
    assert "--model" not in base
    assert no_blocks[-2:] == no_reactions[-2:] == ["--model", str(folder / "base" / "model")]
    assert ["--reacting" in words for words in (base, no_blocks, no_reactions)] == [True, True, False]
    assert commands[2][1] == {"FRAUDSIM_CONSEQUENCES__BLOCK_HOURS": "0"}
    assert "30 days in the fast-forward" in page_of(result).markdown()


def test_a_run_that_fails_is_named_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(twin_runs.sys, "executable", "/bin/false")
    assert sys.executable == "/bin/false"
    with pytest.raises(FraudsimError, match=r"the run .*base ended with 1; see .*base.log"):
        study(tmp_path, Settings(_env_file=None), PLAN)
