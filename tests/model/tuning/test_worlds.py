import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from model.tuning import worlds
from model.tuning.handbook_like import HandbookLike
from model.tuning.worlds import FoldDays, WorldPlan, file_world, prepare
from stream_features.catalogue.features import DAY
from testing.samples.published_files import handbook

SMALL = worlds.WorldSize(cards=150, days=35, seeds=(7,), handbook_customers=150, handbook_days=35)


def test_data_after_the_handbook_have_its_columns_and_its_frauds():
    table = HandbookLike(customers=400, terminals=800, days=40).table()
    assert table.schema.names[:5] == list(handbook())[:5]
    scenario, amount = table["TX_FRAUD_SCENARIO"].to_numpy(), table["TX_AMOUNT"].to_numpy()
    assert set(scenario) == {0, 1, 2, 3}
    assert not (scenario[amount > 1000] == 0).any()
    assert (amount[scenario == 1] > 220).all()
    assert not (np.diff(table["TX_DATETIME"].cast("int64").to_numpy()) < 0).any()
    assert table["TX_FRAUD"].to_numpy().tolist() == (scenario > 0).tolist()


def test_features_are_kept_and_no_fold_touches_the_last_week(tmp_path, monkeypatch):
    plan = worlds.handbook_like_world(SMALL)
    first = prepare(plan, tmp_path)
    monkeypatch.setattr(worlds, "bulk_features", None)
    again = prepare(plan, tmp_path)
    assert np.array_equal(first.features, again.features, equal_nan=True)
    last = first.ts // DAY >= first.ts[-1] // DAY - 6
    assert not any((rows.test & last).any() for rows in first.folds)
    assert not (first.held_out.test & ~last).any()
    assert first.held_out.test.any()


def test_too_short_a_world_is_named(tmp_path):
    plan = worlds.handbook_like_world(worlds.WorldSize(handbook_customers=50, handbook_days=20))
    with pytest.raises(FraudsimError, match=r"^after the Handbook's simulator: .* 13 days are too few"):
        prepare(plan, tmp_path)


def test_a_file_of_no_known_layout_is_refused(tmp_path):
    (tmp_path / "bank.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FraudsimError, match="no known layout"):
        file_world(tmp_path / "bank.csv", FoldDays())


def test_worlds_differ_by_camouflage_and_seed():
    plans: list[WorldPlan] = list(worlds.own_worlds(worlds.WorldSize(cards=60)))
    assert len({plan.key for plan in plans}) == len(plans) == 8
    small = worlds.WorldSize(cards=30, days=12)
    sizes = {plan.tables()[0].num_rows for plan in worlds.own_worlds(small)}
    assert len(sizes) > 1


def test_a_history_is_a_world_too(small_history, tmp_path):
    world = prepare(worlds.history_world(small_history, FoldDays(7, 7, 7)), tmp_path)
    assert world.name == f"history {small_history.name}"
    assert len(world.folds) == 2
    assert (np.diff(world.ts) >= 0).all()
