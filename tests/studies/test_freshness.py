"""The study of freshness, very small; and its statistics where the answer is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.ledger.comparison import difference_of
from stream_features.catalogue.features import HOUR
from studies.freshness import plan as plans
from studies.freshness import run_cell, study
from studies.freshness.page import QUESTION, terminal_pages
from studies.freshness.plan import FRESH, QUICK, StudyCell, Twin
from studies.freshness.report import write
from studies.freshness.statistics import TypologyCell, common_curve, knees, planted_difference

TINY = replace(
    QUICK, periods_ms=(HOUR, 24 * HOUR), baselines=("blocklist",), tempos=(1.0,), seeds=2, most_seeds=2,
    cards=300, history_days=26, days=3, fraud_scale=10.0,
)  # fmt: skip
SETTINGS = Settings(_env_file=None, label_gap_days=3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    steps = []
    result = study.study(out, TINY, SETTINGS, lambda done, to_do: steps.append((done, to_do)))
    write(out, result)
    return out, result, steps


def test_every_twin_of_every_seed_is_run_and_compared_in_pairs(finished):
    _, result, steps = finished
    assert steps[0] == (0, 10)
    assert steps[-1] == (10, 10)
    fresh = next(cell for cell in result.arms if cell.arm == FRESH)
    assert (fresh.against_fresh.mean, fresh.against_fresh.low) == (0, 0)
    blocklist = next(cell for cell in result.arms if cell.arm == "blocklist")
    assert blocklist.against_fresh.mean > 0


def test_the_page_stands_alone_and_names_question_answer_and_command(finished):
    out, result, _ = finished
    page = (out / "index.html").read_text()
    assert QUESTION in page
    assert "fraudsim study freshness --out DIR --quick" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert json.loads((out / "result.json").read_text())["seeds"] == result.seeds
    assert (out / "regimes.md").exists()
    assert (out / "net-loss-1.svg").read_text().startswith("<svg")


def test_its_tables_fit_a_terminal_of_80_columns(finished):
    for page in terminal_pages(finished[1]):
        assert page.grid.fits(80, wrapped=True)


def test_what_is_done_is_not_done_again_and_another_question_is(finished, monkeypatch):
    out, result, _ = finished
    monkeypatch.setattr(study, "_run_task", None)  # nothing may run
    assert study.study(out, TINY, SETTINGS).arms == result.arms
    other = SETTINGS.model_copy(update={"consequences": {"block_hours": 1.0}})
    cell = StudyCell(TINY.arms()[0], 1, 1.0)
    assert cell.file_name(TINY, SETTINGS) != cell.file_name(TINY, other)
    assert cell.file_name(TINY, SETTINGS) != cell.file_name(replace(TINY, days=4), SETTINGS)
    assert cell.file_name(TINY, SETTINGS) != replace(cell, tempo=2.0).file_name(TINY, SETTINGS)
    monkeypatch.setattr(plans, "code_fingerprint", lambda: "other code")
    assert not (out / "cells" / cell.file_name(TINY, SETTINGS)).exists()


def test_a_full_disk_ends_the_study_in_one_line(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "worlds"))

    monkeypatch.setattr(study, "_make_worlds", full)
    with pytest.raises(FraudsimError, match="No space left on device; what is done is kept"):
        study.study(tmp_path, TINY, SETTINGS)


def test_null_twins_show_nothing_and_a_planted_effect_is_found():
    generator = np.random.default_rng(1)
    differences = generator.normal(0, 100, 12)
    null, found = difference_of(differences.tolist()), planted_difference(differences.tolist(), 500)
    assert null.low < 0 < null.high
    assert found.low > 0
    assert found.low < 500 < found.high


def cell(typology: str, arm: str, lost: list[float], campaigns: int = 90) -> TypologyCell:
    return TypologyCell(
        typology=typology, tempo=1.0, arm=arm, campaigns=campaigns, paid_share=50, lost=difference_of(lost),
        first_caught_share=10, stopped_share=50, stop_minutes=5, duration_minutes=60, gap_minutes=5,
    )  # fmt: skip


def test_a_knee_lies_where_half_of_the_loss_is_reached():
    staleness = {"fast": 10.0, "slow": 100.0, "day": 1000.0}
    cells = [
        *(
            cell("burst", arm, [lost - 1, lost, lost + 1])
            for arm, lost in zip(staleness, (2, 18, 20), strict=True)
        ),
        *(cell("slow drip", arm, [-0.2, 0.1, 0.2]) for arm in staleness),
        *(cell("rare", arm, [9, 10, 11], campaigns=29) for arm in staleness),
        *(cell("noisy", arm, [-20, 0, 30]) for arm in staleness),
    ]
    by_typology = {knee.typology: knee for knee in knees(cells, staleness)}
    assert {name: knee.verdict for name, knee in by_typology.items()} == {
        "burst": "real time matters",
        "slow drip": "batch is as good",
        "rare": "too few campaigns",
        "noisy": "not told apart",
    }
    assert by_typology["burst"].minutes == pytest.approx(10 + 90 * (10 - 2) / (18 - 2))


def test_one_curve_is_told_from_two():
    x = list(np.geomspace(0.1, 10, 30))
    one = common_curve(x, [float(value > 1) for value in x], [1.0] * 30)
    two = common_curve(x, [float(index % 2) for index in range(30)], [1.0] * 30)
    assert one.spread == pytest.approx(1)
    assert two.spread < 0.2


def test_a_world_without_fraud_cannot_be_trained_on(tmp_path):
    quiet = replace(TINY, fraud_scale=0.0)
    with pytest.raises(FraudsimError, match="0 are known frauds"):
        run_cell.run_cell(StudyCell(Twin(FRESH, plans.REGIMES[FRESH]), 1, 1.0), quiet, SETTINGS, tmp_path)
