"""The study of treatments on small worlds: what is kept, and what its figures must show."""

from dataclasses import replace

import pytest

from fraudsim.settings import Settings
from studies.frame.conduct import conduct
from studies.frame.page import markdown
from studies.model_world import OURS, ModelWorldSpec
from studies.treatments import cell, definition

SPEC = ModelWorldSpec(350, 36, 8.0, 300, 36)
SETTINGS = Settings(_env_file=None, label_gap_days=7, seed=7)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Run in this process, so that the fits can be made small."""
    out = tmp_path_factory.mktemp("out")
    patch = pytest.MonkeyPatch()
    for module in ("model.treatments.treatments", "model.forest.fit"):
        patch.setattr(f"{module}.SHIPPED", replace(definition.SHIPPED, trees=20, eta=0.2))
    few = definition.TREATMENTS[:1] + definition.TREATMENTS[-2:]
    patch.setattr(definition, "TREATMENTS", few)
    study = definition.definition_of(SPEC, "quick", 1)
    runs = {one: cell.run_cell(SPEC, one, SETTINGS, out) for group in study.plan.groups([3]) for one in group}
    yield study.result_of(runs, [3], provenance_of(study)), study
    patch.undo()


def provenance_of(study):
    from model.artefact.files import current_versions
    from studies.frame.definition import Provenance

    return Provenance(study="treatments", size="quick", code="0", versions=current_versions())


def rows_of(result, **wanted):
    return [row for row in result.rows if all(getattr(row, key) == value for key, value in wanted.items())]


def test_there_is_a_row_for_each_layout_treatment_and_calibrator(result):
    found, _ = result
    assert len(found.rows) == 2 * 3 * 3
    assert set(found.test_frauds) == set(SPEC.layouts())
    (first,) = rows_of(found, layout=OURS, treatment=definition.PLAIN, calibrator="none")
    assert first.difference.mean == 0
    assert 0 < first.average_precision <= 1


def test_undersampled_scores_expect_too_much_fraud_until_they_are_corrected(result):
    found, _ = result
    _, sampled, corrected = (
        row.expected_over_known for row in rows_of(found, layout=OURS, calibrator="none")
    )
    assert sampled > 1.5 * corrected


def test_groups_cover_the_test_and_the_page_says_so(result):
    found, study = result
    total = sum(one.transactions for one in found.by_amount)
    assert total > 500
    assert len(found.by_typology) > 3
    report = study.report_of(found)
    text = markdown(report)
    assert text.count("; isotonic |") == 2 * 3
    assert report.figures[0].svg.startswith("<svg")
    assert "ranks best" in report.answer[0]


def test_the_command_keeps_its_cells(tmp_path, monkeypatch):
    spec = ModelWorldSpec(350, 36, 8.0, 300, 36)
    study = definition.definition_of(spec, "quick", 1)
    few = {name: study.plan.arms[name] for name in list(study.plan.arms)[-1:]}
    small = replace(study, plan=replace(study.plan, arms=few, conditions={OURS: spec.layouts()[OURS]}))
    monkeypatch.setattr("studies.frame.conduct.write_result", lambda *_: None)
    kept = replace(small, result_of=lambda runs, *_: dict(runs), report_of=lambda _: None)
    first = conduct(kept, tmp_path, SETTINGS, seeds=1)
    monkeypatch.setattr("studies.frame.conduct._run_group", None)
    assert conduct(kept, tmp_path, SETTINGS, seeds=1) == first
    assert len(list((tmp_path / "cells").iterdir())) == 1
