import json
from dataclasses import replace

import pytest

from fraudsim.settings import Settings
from model.tuning.paired import PairedDifference
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from studies import tradeoffs
from studies.tradeoffs import Estimate, ZooResult, frontier_of, page_of, study

FEW_ENTRIES = ("XGBoost, shipped parameters", "distilled trees", "logistic regression, hashing trick")


@pytest.fixture(scope="module")
def result_and_files(tmp_path_factory):
    history, out = tmp_path_factory.mktemp("history"), tmp_path_factory.mktemp("out")
    write_history(history, World(WorldConfig(cards=350, seed=5, fraud_scale=8)), 36)
    patch = pytest.MonkeyPatch()
    few = replace(tradeoffs.SHIPPED, trees=40, eta=0.2)
    for module in ("studies.tradeoffs", "model.zoo.tree_models", "model.forest.fit"):
        patch.setattr(f"{module}.SHIPPED", few)
    patch.setattr(tradeoffs, "ZOO", [entry for entry in tradeoffs.ZOO if entry.name in FEW_ENTRIES])
    patch.setattr(tradeoffs, "ONE_ROWS", 40)
    settings = Settings(_env_file=None, label_gap_days=7, seed=7)
    first = study(history, out, settings)
    patch.setattr(tradeoffs, "measure", None)
    again = study(history, out, settings)
    patch.undo()
    return first, again, out


def test_an_interrupted_study_takes_its_finished_models(result_and_files):
    first, again, _ = result_and_files
    assert first == again


def test_every_model_is_measured_with_intervals(result_and_files):
    result, _, out = result_and_files
    assert [one.name for one in result.models] == list(FEW_ENTRIES)
    base, distilled, hashed = result.models
    assert base.compared.difference == 0
    assert hashed.size_bytes > distilled.size_bytes
    assert not hashed.served
    for one in result.models:
        assert 0 < one.compared.average_precision <= 1
        for estimate in (one.net_loss, one.one_us, one.batch_us):
            assert 0 < estimate.low <= estimate.value <= estimate.high
        document = json.loads((out / "tradeoffs.json").read_text())
    assert document["models"][0]["scores"] == []
    assert page_of(result).markdown().count("\n| ") == 1 + 3


def result_of(name, ap, loss, us, size, train_s):
    def estimate(value):
        return Estimate(value=value, low=value, high=value)

    return ZooResult(
        name=name, served=True, serving="", compared=PairedDifference(ap, ap, 0, 0, 0),
        net_loss=estimate(loss), one_us=estimate(us), batch_us=estimate(us), runtime="", size_bytes=size,
        train_s=train_s, scores=[],
    )  # fmt: skip


def test_the_frontier_leaves_out_what_another_beats_everywhere():
    good, quick = result_of("good", 0.5, 0.3, 20, 100, 9), result_of("quick", 0.4, 0.4, 2, 10, 1)
    worse, same = result_of("worse", 0.4, 0.4, 3, 10, 1), result_of("same", 0.4, 0.4, 2, 10, 1)
    assert frontier_of([good, quick, worse]) == ["good", "quick"]
    assert frontier_of([quick, same]) == ["quick", "same"]
