"""The study of cadence, very small: who retrains, from what, and what the page says."""

from dataclasses import replace

import numpy as np
import pytest

from fraudsim.settings import Settings
from simulator.line.drifted_traffic import DriftedTraffic
from studies.cadence import retrained_line
from studies.cadence.cell import run_cell
from studies.cadence.definition import study_by
from studies.cadence.plan import NEVER, ORACLE, CadencePlan
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import WorldSpec

PLAN = CadencePlan(
    1,
    WorldSpec(200, 50, 21, (("fraud_scale", 12.0),)),
    change_week=1,
    periods_days=(14,),
    seeds=2,
    most_seeds=2,
)
SETTINGS = Settings(_env_file=None, label_gap_days=3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    scratch, seen = tmp_path_factory.mktemp("cadence"), []
    with pytest.MonkeyPatch.context() as patched:
        build = retrained_line.build_dataset

        def recorded(transactions, labels, split):
            seen.append((transactions, labels, split))
            return build(transactions, labels, split)

        patched.setattr(retrained_line, "build_dataset", recorded)
        cells = {
            arm: run_cell(PLAN, StudyCell(arm, "fraud hides better", 1), SETTINGS, scratch)
            for arm in (NEVER, "every 14d", ORACLE)
        }
    return cells, seen


def test_the_trigger_decides_when_the_model_is_exchanged(runs):
    cells, seen = runs
    counts = {arm: cell.measures["retrainings"] + cell.measures["failed"] for arm, cell in cells.items()}
    assert counts == {NEVER: 0, "every 14d": 1, ORACLE: 3}
    assert len(seen) == 4
    assert cells["every 14d"].measures["analyst hours"] == 2 * cells["every 14d"].measures["retrainings"]
    decided = {cell.line.decisions for cell in cells.values()}
    assert len(decided) == 1, "all decide the same payments"
    assert cells[ORACLE].line.net_loss_rate != cells[NEVER].line.net_loss_rate


def test_it_learns_from_labels_heard_by_then_and_only_the_oracle_from_the_truth(runs):
    _, seen = runs
    for number, (transactions, labels, split) in enumerate(seen):
        known_at, ts = (labels[name].to_numpy() for name in ("known_at", "ts"))
        assert max(transactions["ts"].to_pylist()) < split.end_ms
        if number < 1:
            assert (known_at >= ts).all()
            assert known_at.max() < split.end_ms
            assert (known_at > ts).mean() > 0.9
        else:
            assert (known_at == ts).all()
    assert len(seen[3][1]) > len(seen[1][1])


def test_a_change_of_fraud_leaves_the_payments_before_it_alone(runs, tmp_path):
    """The unchanged weeks are those of the world itself."""
    from studies.frame.study_world import study_world

    world = study_world(PLAN.spec, 1, SETTINGS, tmp_path)
    weekly = DriftedTraffic(**vars(replace(world.traffic, stretch_days=7)))
    rows = [stretch.transactions.num_rows for stretch in weekly.stretches()]
    assert len(rows) == 3
    assert sum(rows) == sum(stretch.transactions.num_rows for stretch in world.traffic.stretches())


def test_the_page_compares_every_trigger_with_never(runs):
    cells, _ = runs
    study = study_by(PLAN, "quick")
    filled = {}
    for arm, condition in study.plan.pairs():
        for seed in (1, 2):
            filled[arm, condition, seed] = cells.get(arm, cells[NEVER])
    from model.artefact.files import current_versions
    from studies.frame.definition import Provenance

    provenance = Provenance(study="cadence", size="quick", code="c", versions=current_versions())
    report = study.report_of(study.result_of(filled, [1, 2], provenance))
    answer = " ".join(report.answer)
    for arm in ("every 14d", "drift", "performance", "money", ORACLE):
        assert f"{arm} " in answer
    assert np.all(["retraining" in text for text in report.answer])
