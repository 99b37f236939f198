"""The study of interference: its arithmetic where the answer is known, and runs of equal arms."""

from dataclasses import replace

import pytest

from fraudsim.settings import Settings
from model.artefact.files import current_versions
from studies.frame.cell_plan import StudyCell
from studies.frame.definition import Provenance
from studies.frame.page import markdown, terminal_pages
from studies.frame.study_world import WorldSpec
from studies.interference.cell import ArmSums, run_cell
from studies.interference.definition import definition_of, result_of
from studies.interference.page import report_of
from studies.interference.plan import ALL_A, ALL_B, CONDITIONS, EVERYTHING, MIRROR, QUICK, REPLAY

TINY = replace(QUICK, worlds=WorldSpec(150, 18, 2, (("fraud_scale", 12.0),)), alert_shares=(0.02, 0.02))
SETTINGS = Settings(_env_file=None, label_gap_days=3)
ORIGIN = Provenance(study="interference", size="quick", code="x", versions=current_versions())


def test_equal_arms_lose_the_same_money_however_they_are_split(tmp_path):
    sums = {
        arm: run_cell(TINY, StudyCell(arm, EVERYTHING, 1), SETTINGS, tmp_path)
        for arm in (REPLAY, "by card", "by card" + MIRROR, "by day")
    }
    totals = {arm: part.loss_a + part.loss_b for arm, part in sums.items()}
    assert len(set(totals.values())) == 1
    assert next(iter(totals.values())) > 0
    assert sums[REPLAY].offline_gain == 0
    weeks = 150 * 2 / 7
    assert all(part.card_weeks_a + part.card_weeks_b == pytest.approx(weeks) for part in sums.values())
    halves = sums["by card"], sums["by card" + MIRROR]
    assert halves[0].loss_a == halves[1].loss_b
    assert halves[0].card_weeks_b == pytest.approx(halves[1].card_weeks_a)
    assert 0.3 * weeks < halves[0].card_weeks_b < 0.7 * weeks


def sums(rate_a, rate_b, offline=0.0):
    return ArmSums(
        loss_a=rate_a, loss_b=rate_b, card_weeks_a=1.0, card_weeks_b=1.0, offline_gain=offline, reviews=3
    )


def test_the_bias_is_the_estimate_less_the_truth_and_causes_take_their_part_away():
    runs = {}
    for seed in (1, 2, 3):
        for condition in CONDITIONS:
            # All B less all A is -40 cents a card and week everywhere; displacement alone adds 30 of bias.
            runs[ALL_A, condition, seed] = sums(100.0 + seed, 100.0 + seed)
            runs[ALL_B, condition, seed] = sums(60.0 + seed, 60.0 + seed)
            bias = 0.0 if "displacement" in CONDITIONS[condition] else 30.0
            for design in ("by card", "by region", "by day"):
                for mirrored, noise in (("", 7.0), (MIRROR, -7.0)):
                    runs[design + mirrored, condition, seed] = sums(100.0, 60.0 + bias + noise)
        runs[REPLAY, EVERYTHING, seed] = sums(1.0, 1.0, -55.0)
    result = result_of(TINY, runs, [1, 2, 3], ORIGIN)
    by_card = result.designs[0]
    assert (by_card.lift.mean, by_card.estimate.mean, by_card.bias.mean) == (-40_000, -10_000, 30_000)
    assert result.removed["without displacement"].mean == 30_000
    assert result.removed["without merchant risk"].mean == 0
    assert [(row.offline, row.one_half, row.online) for row in result.lifts] == [
        (-55_000, -3_000, -40_000)
    ] * 3
    report = report_of(result)
    assert "Offline gain against online lift" in markdown(report)
    assert report.figures[0].svg.startswith("<svg")
    assert len(terminal_pages(report)) == 3


def test_every_cell_that_the_result_needs_is_run():
    pairs = definition_of(TINY, "quick").plan.pairs()
    assert len(pairs) == 9 + 5 * 4
    assert (REPLAY, "without displacement") not in pairs
