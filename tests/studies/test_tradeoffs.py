"""The study of models on small worlds."""

from dataclasses import replace

import msgspec
import pytest

from fraudsim.settings import Settings
from producers.ledger.comparison import Difference
from studies.frame.page import markdown
from studies.model_world import OURS, ModelWorldSpec
from studies.tradeoffs import cell, definition
from studies.tradeoffs.cell import Estimate
from studies.tradeoffs.result import ModelRow, frontier_of
from tests.studies.test_treatments import provenance_of

FEW_ENTRIES = ("XGBoost, shipped parameters", "distilled trees", "logistic regression, hashing trick")
SPEC = ModelWorldSpec(350, 36, 8.0, 300, 36)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    for module in ("model.zoo.tree_models", "model.forest.fit"):
        patch.setattr(f"{module}.SHIPPED", replace(definition.SHIPPED, trees=40, eta=0.2))
    patch.setattr(definition, "ZOO", [entry for entry in definition.ZOO if entry.name in FEW_ENTRIES])
    patch.setattr(cell, "ONE_ROWS", 60)
    study = definition.definition_of(SPEC, "quick", 1)
    settings, out = Settings(_env_file=None, label_gap_days=7, seed=7), tmp_path_factory.mktemp("out")
    runs = {one: cell.run_cell(SPEC, one, settings, out) for group in study.plan.groups([3]) for one in group}
    yield study.result_of(runs, [3], provenance_of(study)), study
    patch.undo()


def test_every_model_is_measured_in_both_layouts(result):
    found, study = result
    assert [row.model for row in found.rows] == list(FEW_ENTRIES) * 2
    base, distilled, hashed = found.rows[:3]
    assert base.layout == OURS
    assert base.precision_difference.mean == base.net_loss_difference.mean == 0
    assert hashed.size_bytes > distilled.size_bytes
    assert not hashed.served
    for row in found.rows:
        assert 0 < row.average_precision <= 1
        assert row.net_loss_rate > 0
        for estimate in (row.one_us, row.batch_us):
            assert 0 < estimate.low <= estimate.value <= estimate.high
    text = markdown(study.report_of(found))
    assert text.count("\n| XGBoost, shipped parameters") == 4
    assert "CPU time" in text


def row_of(name, ap, loss, us, size, train_s):
    estimate, none = Estimate(value=us, low=us, high=us), Difference(1, 0.0, None, None)
    return ModelRow(
        layout="", model=name, served=True, serving="", average_precision=ap, precision_difference=none,
        net_loss_rate=loss, net_loss_difference=none, one_us=estimate, batch_us=estimate, runtime="",
        size_bytes=size, train_s=train_s, on_frontier=False,
    )  # fmt: skip


def test_the_frontier_leaves_out_what_another_beats_everywhere():
    good, quick = row_of("good", 0.5, 0.3, 20, 100, 9), row_of("quick", 0.4, 0.4, 2, 10, 1)
    worse, same = row_of("worse", 0.4, 0.4, 3, 10, 1), row_of("same", 0.4, 0.4, 2, 10, 1)
    assert frontier_of([good, quick, worse]) == ["good", "quick"]
    assert frontier_of([quick, same]) == ["quick", "same"]
    assert msgspec.json.decode(msgspec.json.encode(good), type=ModelRow) == good
