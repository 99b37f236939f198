"""What every study of arms against a base says of figures whose effects are known."""

import importlib

import msgspec
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.artefact.files import current_versions
from studies.comparison.definition import comparison_result
from studies.comparison.figures import Contrast, Fits, arm_rows, effect_of, effects_of
from studies.deadline.plan import refused_name
from studies.frame.definition import Provenance
from studies.frame.file_world import FileSpec
from studies.frame.page import html, markdown, terminal_pages
from studies.labels.plan import PAST_LOSS
from studies.windows.plan import EXACT, NULL
from tests.studies.made_up_runs import made_up

NAMES = ("skew", "labels", "windows", "camouflage", "value", "deadline")
SEEDS = [1, 2, 3, 4, 5, 6]
MEASURES = {
    "average precision": 30.0, "updates": 4.0, "kept": 30.0, "differ": 12.0, "differ 60000": 20.0,
    "AP card_testing": 0.5, "frauds": 50.0,
    "known frauds": 40.0, "unlabelled": 9.0, "unlabelled frauds": 5.0, PAST_LOSS: 1000.0,
    "payments": 11_000.0,
    "fraud rate": 0.5, "degraded 5 ms 200/s": 1.0, "degraded 5 ms 1500/s": 30.0, "degraded 50 ms 200/s": 0.0,
    "degraded 50 ms 1500/s": 2.0,
}  # fmt: skip


@pytest.fixture(params=NAMES)
def study(request):
    return importlib.import_module(f"studies.{request.param}.definition").study_of("quick")


def result_of(study, effects):
    runs = made_up(study.plan, SEEDS, effects, MEASURES)
    provenance = Provenance(study=study.plan.study, size="quick", code="c", versions=current_versions())
    return study.result_of(runs, SEEDS, provenance)


def test_a_page_has_the_answer_first_its_controls_its_limits_and_the_command(study):
    report = study.report_of(result_of(study, {}))
    page = html(report)
    assert page.index(report.answer[0].split("'")[0][:30]) < page.index("Set-up") < page.index("cannot show")
    assert f"fraudsim study {study.plan.study} --quick" in page
    assert ("--quick --seeds 6 --out" in page) == (len(SEEDS) != study.plan.seeds)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert report.controls
    assert report.limits
    assert "95 %" in markdown(report)


def test_tables_fit_a_terminal_of_80_columns(study):
    for page in terminal_pages(study.report_of(result_of(study, {}))):
        assert page.grid.fits(80, wrapped=True), page.title


def test_null_twins_are_not_told_apart_and_what_is_planted_is_found(study):
    controls = result_of(study, {}).controls
    assert controls
    assert all(control.planted_told for control in controls)


def test_an_arm_that_loses_more_is_told_and_one_that_does_not_is_not():
    study = importlib.import_module("studies.windows.definition").study_of("quick")
    result = result_of(study, {"tumbling": 200_000})
    tumbling = effect_of(result.effects, "tumbling, tempo 1")
    hopping = effect_of(result.effects, "hopping 5m, tempo 1")
    assert tumbling.holds
    assert tumbling.difference.mean == pytest.approx(200_000, abs=2_000)
    assert not hopping.holds
    report = study.report_of(result)
    assert "tumbling +1,99" in report.answer[0]
    assert "hopping 5m and hopping 1h not told apart" in report.answer[0]


def test_a_contrast_may_be_of_two_conditions_and_of_another_measure():
    study = importlib.import_module("studies.camouflage.definition").study_of("quick")
    runs = made_up(study.plan, [1, 2], {}, {"x": 1.0})
    arm = next(iter(study.plan.arms))
    conditions = list(study.plan.conditions)
    fits = Fits(*list(study.plan.arms)[:2])
    contrasts = [Contrast("same", arm, arm, conditions[2], conditions[0], "x")]
    (effect,) = effects_of(runs, fits, contrasts, conditions, [1, 2])
    assert (effect.difference.mean, effect.condition, effect.holds) == (0, conditions[2], False)


def test_contrasts_are_with_the_mean_of_both_fits_of_the_base():
    plan = importlib.import_module("studies.windows.definition").study_of("quick").plan
    effects = {EXACT: 100_000, NULL: 300_000, "tumbling": 500_000}
    runs = made_up(plan, [1, 2], effects, MEASURES)
    tempo = next(iter(plan.conditions))
    contrasts = [
        Contrast("a", "tumbling", EXACT),
        Contrast("b", EXACT, "tumbling"),
        Contrast("c", NULL, "tumbling"),
    ]
    fits = Fits(EXACT, NULL)
    a, b, c = (effect.difference.mean for effect in effects_of(runs, fits, contrasts, [tempo], [1, 2]))
    assert a == pytest.approx(300_000, abs=2_000)
    assert b == -a
    assert c == pytest.approx(-200_000, abs=2_000)
    rows = {row.arm: row.against_base.mean for row in arm_rows(runs, plan.pairs(), [1, 2], fits, 14)}
    assert rows["tumbling"] == a
    assert rows[EXACT] == 0
    assert rows[NULL] == pytest.approx(200_000, abs=2_000)


def test_each_figure_is_kept_for_its_own_arm_and_for_the_settings_it_depends_on(study):
    plan = study.plan
    settings = Settings(_env_file=None)
    cells = [cell for group in plan.groups([1]) for cell in group]
    names = {plan.file_name(cell, settings) for cell in cells}
    assert len(names) == len(cells)
    priced = settings.model_copy(update={"footprint": {"broker": 1.0}})
    assert {plan.file_name(cell, priced) for cell in cells} == names
    other = settings.model_copy(update={"consequences": {"block_hours": 1.0}})
    assert not names & {plan.file_name(cell, other) for cell in cells}


def test_alerts_that_only_one_line_has_are_counted():
    study = importlib.import_module("studies.windows.definition").study_of("quick")
    rows = {row.arm: row for row in result_of(study, {}).rows}
    assert rows[EXACT].measures["changed"] == 0
    exact, other = 10 + len(EXACT), 10 + len("tumbling")
    assert rows["tumbling"].measures["changed"] == pytest.approx(100 * (1 - exact / other))


def test_a_load_that_was_refused_is_said_and_marked():
    study = importlib.import_module("studies.deadline.definition").study_of("quick")
    measures = {**MEASURES, refused_name(5, 1_500): 1.0, refused_name(50, 200): 0.0}
    runs = made_up(study.plan, SEEDS, {}, measures)
    provenance = Provenance(study="deadline", size="quick", code="c", versions=current_versions())
    report = study.report_of(study.result_of(runs, SEEDS, provenance))
    assert "refused 1,500/s under 5 ms: the machine" in " ".join(report.answer)
    (loads,) = (table for table in report.tables if table.name == "Load and deadline")
    assert [row[2].text.endswith("*") for row in loads.grid.rows] == [False, True, False, False]


def test_models_that_flag_nothing_are_no_finding():
    study = importlib.import_module("studies.windows.definition").study_of("quick")
    result = result_of(study, {})
    quiet = [msgspec.structs.replace(row, alert_share=0.0) for row in result.rows]
    assert not any("flags anything" in text for text in study.report_of(result).surprises)
    assert (
        "No arm flags anything" in study.report_of(msgspec.structs.replace(result, rows=quiet)).surprises[0]
    )


def test_comparison_result_is_read_back_as_it_was_written(study):
    result = result_of(study, {})
    assert msgspec.json.decode(msgspec.json.encode(result), type=study.result) == result
    assert comparison_result.__doc__


def test_an_index_has_each_answer_in_a_sentence_and_a_figure_and_keeps_what_was_published(tmp_path):
    from studies.frame.publication import publish
    from studies.framed import kept_study, with_kept

    modules = {name: importlib.import_module(f"studies.{name}.definition") for name in ("skew", "labels")}
    studies = {name: module.study_of("quick") for name, module in modules.items()}
    results = {name: result_of(study, {}) for name, study in studies.items()}
    reports = {name: studies[name].report_of(result) for name, result in results.items()}
    publish(tmp_path, {"skew": (results["skew"], reports["skew"])})
    publish(tmp_path, with_kept(tmp_path, {"labels": (results["labels"], reports["labels"])}))
    index = (tmp_path / "README.md").read_text()
    for name, report in reports.items():
        assert report.answer[0] in index
        assert f"({name}/{report.figures[0].name}.svg)" in index
        assert (tmp_path / name / f"{report.figures[0].name}.svg").exists()
    assert kept_study(tmp_path / "skew")[1][0] == results["skew"]
    older = msgspec.structs.replace(results["skew"], effects=results["skew"].effects[1:])
    (tmp_path / "skew" / "result.json").write_bytes(msgspec.json.encode(older))
    with pytest.raises(FraudsimError, match="is of another version of the study; run it again"):
        with_kept(tmp_path, {})
    assert with_kept(tmp_path, {"skew": (results["skew"], reports["skew"])}).keys() == {"skew", "labels"}
    of_file = msgspec.structs.replace(results["skew"], file=FileSpec("h", "handbook", "f", 9, 9, 9))
    (tmp_path / "skew" / "result.json").write_bytes(msgspec.json.encode(of_file))
    with pytest.raises(FraudsimError, match="is of a public file, and what is published is of worlds"):
        kept_study(tmp_path / "skew")
