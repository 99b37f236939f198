"""The study of freshness, very small; and its statistics where the answer is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.ledger.comparison import difference_of
from stream_features.catalogue.features import HOUR
from studies.frame.cell_plan import StudyCell
from studies.frame.conduct import conduct
from studies.frame.page import terminal_pages
from studies.frame.study_world import WorldSpec, study_world
from studies.freshness.cell import run_cell
from studies.freshness.definition import definition_of
from studies.freshness.page import QUESTION
from studies.freshness.plan import FRESH, NULL, QUICK
from studies.freshness.result import TypologyCell
from studies.freshness.statistics import common_curve, knees

TINY = replace(
    QUICK, periods_ms=(6 * HOUR,), baselines=("blocklist",), tempos=(1.0,), seeds=2, most_seeds=2, spread=2,
    spread_tempos=(1.0,), worlds=WorldSpec(250, 20, 2, (("fraud_scale", 12.0),)),
)  # fmt: skip
SETTINGS = Settings(_env_file=None, label_gap_days=3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    steps = []
    study = definition_of(TINY, "quick")
    result = conduct(study, out, SETTINGS, on_progress=lambda done, to_do: steps.append((done, to_do)))
    return out, result, study.report_of(result), steps


def test_every_twin_of_every_seed_is_run_and_compared_in_pairs(finished):
    _, result, _, steps = finished
    assert steps[0] == (0, 12)
    assert steps[-1] == (12, 12)
    fresh = next(cell for cell in result.arms if cell.arm == FRESH)
    assert (fresh.against_fresh.mean, fresh.against_fresh.low) == (0, 0)
    blocklist = next(cell for cell in result.arms if cell.arm == "blocklist")
    assert blocklist.against_fresh.mean > 0
    assert result.sawtooth[0].difference.pairs == 2
    assert result.staleness_minutes["job every 6h"] == pytest.approx(180, abs=30)


def test_the_page_names_question_answer_and_command(finished):
    out, result, _, _ = finished
    page = (out / "index.html").read_text()
    assert QUESTION in page
    assert "fraudsim study freshness --out DIR --quick" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert json.loads((out / "result.json").read_text())["seeds"] == result.seeds
    assert (out / "net-loss-1.svg").read_text().startswith("<svg")


def test_its_tables_fit_a_terminal_of_80_columns(finished):
    for page in terminal_pages(finished[2]):
        assert page.grid.fits(80, wrapped=True)


def test_each_seed_has_models_of_its_own_and_twins_share_them(tmp_path):
    first = study_world(TINY.worlds, 1, SETTINGS, tmp_path)
    arms = TINY.arms()
    fresh, null = (first.fit(arms[name].regime, arms[name].fit_seed) for name in (FRESH, NULL))
    assert study_world(TINY.worlds, 1, SETTINGS, tmp_path) is first
    assert first.fit(arms[FRESH].regime) is fresh
    assert not list(tmp_path.iterdir()), "the history's files are gone"
    second = study_world(TINY.worlds, 2, SETTINGS, tmp_path).fit(arms[FRESH].regime)
    vectors = first.vectors(arms[FRESH].regime)[:500]
    scores = [fitted.arm.forest.predict(vectors) for fitted in (fresh, null, second)]
    assert not np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def cell(typology: str, arm: str, lost: list[float], campaigns: int = 90, p: float = 0.001) -> TypologyCell:
    return TypologyCell(
        typology=typology, tempo=1.0, arm=arm, campaigns=campaigns, paid_share=50, lost=difference_of(lost),
        p=p, first_caught_share=10, stopped_share=50, stop_minutes=5, duration_minutes=60, gap_minutes=5,
    )  # fmt: skip


def test_a_knee_lies_where_half_of_the_loss_is_reached():
    staleness = {"fast": 10.0, "slow": 100.0, "day": 1000.0}
    cells = [
        *(
            cell("burst", arm, [lost - 1, lost, lost + 1])
            for arm, lost in zip(staleness, (2, 18, 20), strict=True)
        ),
        *(cell("faint", arm, [1, 2, 3], p=0.04) for arm in staleness),
        *(cell("slow drip", arm, [-0.2, 0.1, 0.2], p=0.8) for arm in staleness),
        *(cell("rare", arm, [9, 10, 11], campaigns=29) for arm in staleness),
        *(cell("noisy", arm, [-20, 0, 30], p=0.5) for arm in staleness),
    ]
    by_typology = {knee.typology: knee for knee in knees(cells, staleness)}
    assert {name: (knee.verdict, knee.holds) for name, knee in by_typology.items()} == {
        "burst": ("real time matters", True),
        "faint": ("not told apart", False),
        "slow drip": ("batch is as good", False),
        "rare": ("too few campaigns", False),
        "noisy": ("not told apart", False),
    }
    assert by_typology["burst"].minutes == pytest.approx(10 + 90 * (10 - 2) / (18 - 2))


def test_one_curve_is_told_from_two():
    x = list(np.geomspace(0.1, 10, 30))
    one = common_curve(x, [float(value > 1) for value in x], [1.0] * 30)
    two = common_curve(x, [float(index % 2) for index in range(30)], [1.0] * 30)
    assert one.spread == pytest.approx(1)
    assert two.spread < 0.2


def test_a_world_without_fraud_cannot_be_trained_on(tmp_path):
    quiet = replace(TINY, worlds=replace(TINY.worlds, world=(("fraud_scale", 0.0),)))
    with pytest.raises(FraudsimError, match="0 are known frauds"):
        run_cell(quiet, StudyCell(FRESH, "1", 1), SETTINGS, tmp_path)
