"""A public file's history as the world of a study, by shares of its cards."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.artefact.files import current_versions
from model.tuning.handbook_like import HandbookLike
from producers.datasets.registry import read_dataset
from producers.history.writer import write_history
from producers.labels.delays import LabelDelays
from producers.world.config import WorldConfig
from producers.world.world import World
from simulator.regimes import REGIMES
from studies.cli import app
from studies.comparison.figures import RANKING
from studies.frame.cell_plan import StudyCell
from studies.frame.definition import Provenance
from studies.frame.file_world import FileSpec, FileWorld, file_spec, world_of
from studies.frame.page import markdown, terminal_pages
from studies.framed import OF_FILES, definition_of_file
from studies.skew import plan as skew_plan
from studies.skew.cell import run_cell as skew_cell
from studies.windows import plan as windows_plan
from studies.windows.cell import run_cell as windows_cell
from studies.windows.plan import TUMBLING
from tests.studies.made_up_runs import made_up

SETTINGS = Settings(_env_file=None)
FRESH = REGIMES["real-time"]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Four weeks in the Handbook's layout, as `fraudsim world replay` writes them."""
    folder = tmp_path_factory.mktemp("file")
    path = folder / "small.parquet"
    pq.write_table(HandbookLike(customers=120, terminals=100, radius=15, days=30).table(), path)
    dataset = read_dataset(path, LabelDelays())
    dataset.write_history(folder / "history", dataset.end_ms)
    return folder / "history"


@pytest.fixture(scope="module")
def spec(history):
    return replace(file_spec(history, 5), shares=3)


@pytest.fixture(scope="module")
def world(spec):
    return FileWorld(spec, SETTINGS)


def test_the_last_days_are_decided_and_all_before_them_is_the_past(history, spec, world):
    assert file_spec(history) == replace(spec, days=8, history_days=22, shares=8)
    assert (spec.source, spec.days, spec.history_days) == ("handbook", 5, 25)
    assert int(world.traffic.past["ts"].to_numpy().max()) < world.traffic.start_ms
    dataset = world.dataset
    assert dataset.ts[dataset.train].max() < world.traffic.start_ms
    assert len(world.vectors(FRESH)) == world.traffic.past.num_rows


def test_shares_add_up_to_the_whole_file(spec, world):
    whole = FileWorld(replace(spec, shares=1), SETTINGS)
    fitted = whole.fit(FRESH)
    all_cards = whole.run(FRESH, whole.scoring(fitted))
    shares = [world.of_share(n).run(FRESH, whole.scoring(fitted)) for n in (1, 2, 3)]

    def frauds(figures):
        return sum(one.payments for one in figures.typologies.values())

    assert sum(share.decisions for share in shares) == all_cards.decisions
    assert sum(map(frauds, shares)) == frauds(all_cards) > 0
    assert sum(share.flagged for share in shares) == all_cards.flagged > 0
    assert min(share.net_loss_rate for share in shares) < all_cards.net_loss_rate
    assert all_cards.net_loss_rate < max(share.net_loss_rate for share in shares)


def test_a_study_notes_the_payments_of_the_share_alone(world):
    share, notes = world.of_share(2), []
    line = share.decide(FRESH, share.fit(FRESH), note=notes.append)
    assert sum(int(decided.present.sum()) for decided in notes) == line.decisions
    own = {
        card
        for decided in notes
        for card in decided.stretch.transactions.filter(decided.present)["card_id"].to_pylist()
    }
    assert own <= share.cards()
    assert not share.cards() & world.of_share(1).cards()


def test_each_share_has_trees_of_its_own_and_null_twins_others(world):
    fitted = [world.of_share(n).fit(FRESH, seed) for n, seed in ((1, 1), (1, 2), (2, 1))]
    assert len({one.arm.forest.predict(world.vectors(FRESH)[:300]).tobytes() for one in fitted}) == 3


def test_vectors_are_made_once_for_all_shares(spec, tmp_path):
    first = world_of(spec, 1, SETTINGS, tmp_path)
    assert world_of(spec, 2, SETTINGS, tmp_path).vectors(FRESH) is first.vectors(FRESH)


@pytest.mark.parametrize("name", OF_FILES)
def test_a_study_of_a_file_says_so(name, history):
    study = definition_of_file(name, "quick", history, 5)
    assert study.plan.seeds == 8
    measures = {RANKING: 30.0, "updates": 4.0, "kept": 30.0, "differ": 12.0, "differ 60000": 20.0}
    runs = made_up(study.plan, [1, 2], {}, measures)
    provenance = Provenance(study=name, size="quick", code="0", versions=current_versions())
    report = study.report_of(study.result_of(runs, [1, 2], provenance))
    text = markdown(report)
    assert "A file of layout handbook" in text
    assert f"fraudsim study {name} --quick --history DIR --days 5 --seeds 2" in text
    assert "synthetic" not in text
    assert "world" not in " ".join([*report.limits, *report.controls, report.figures[0].caption])
    assert all(page.grid.fits(80, wrapped=True) for page in terminal_pages(report))


@pytest.mark.parametrize(
    ("run", "plan", "arm"),
    [(windows_cell, windows_plan.QUICK, TUMBLING), (skew_cell, skew_plan.QUICK, "nightly, skewed, new bar")],
)
def test_a_cell_of_a_file_is_run_as_one_of_a_world(run, plan, arm, spec, tmp_path):
    figures = run(replace(plan, spec=spec), StudyCell(arm, "tempo 1", 2), SETTINGS, tmp_path)
    assert figures.line.decisions > 100
    assert 0 < figures.measures[RANKING] <= 100


def test_figures_are_kept_for_the_file_and_not_for_its_folder(history, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.symlink_to(history)
    plans = [definition_of_file("windows", "quick", folder, 5).plan for folder in (history, moved)]
    other = definition_of_file("windows", "quick", history, 6).plan
    names = [plan.file_name(StudyCell("exact", "tempo 1", 1), SETTINGS) for plan in (*plans, other)]
    assert names[0] == names[1] != names[2]


def test_what_cannot_be_is_one_line(history, spec, tmp_path):
    with pytest.raises(FraudsimError, match=r"--days 30: history .* has 30 days; give fewer"):
        file_spec(history, 30)
    with pytest.raises(FraudsimError, match=r"has no manifest\.json; `fraudsim world replay FILE --out "):
        file_spec(tmp_path / "nothing")
    write_history(tmp_path / "world", World(WorldConfig(cards=20)), 2)
    with pytest.raises(FraudsimError, match="is of a world, and a study makes its own"):
        file_spec(tmp_path / "world")
    with pytest.raises(FraudsimError, match="has changed since the study began"):
        FileWorld(replace(spec, fingerprint="0"), SETTINGS)
    assert isinstance(spec, FileSpec)
    for words, message in (
        (["windows", "--days", "3"], "give its --history too"),
        (["windows", "--history", str(history), "--seeds", "9"], "have 8 shares; give fewer"),
    ):
        result = CliRunner().invoke(app, ["study", *words, "--out", str(tmp_path / "out")])
        assert message in str(result.exception)
    assert CliRunner().invoke(app, ["study", "labels", "--history", "x", "--out", "y"]).exit_code == 2
