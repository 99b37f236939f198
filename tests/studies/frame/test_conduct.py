"""Studies of cells that stop in the middle, go on, and never answer another question from old figures."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from studies.frame import cell_plan as plan_module
from studies.frame.cell_plan import StudyCell
from studies.frame.conduct import conduct
from tests.studies.frame.small_study import small_study

ROOT = Path(__file__).parents[3]
SETTINGS = Settings(_env_file=None)


def start(
    out: Path, diary: Path, seconds: float, more_arms: int = 0, **limits: object
) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.studies.frame.small_study", str(out), str(diary), str(seconds)]
    words.append(str(more_arms))
    return subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True, **limits
    )


def lines(diary: Path, word: str) -> Counter[str]:
    text = diary.read_text() if diary.exists() else ""
    return Counter(line.split()[1] for line in text.splitlines() if line.startswith(word))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_study_goes_on_and_does_no_finished_cell_again(tmp_path, number):
    out, diary = tmp_path / "out", tmp_path / "diary"
    with start(out, diary, 0.3) as process:
        assert poll_until(lambda: len(list(out.glob("cells/*.json"))) >= 3, timeout_s=120)
        process.send_signal(number)
        _, error = process.communicate(timeout=120)
    if number == signal.SIGINT:
        assert process.returncode == 1
        assert error.strip().splitlines()[-1].startswith("study small: interrupted;")
        assert "Traceback" not in error
    kept = {path.name for path in out.glob("cells/*.json")}
    assert not (out / "result.json").exists()
    result = conduct(small_study(diary, 0.0), out, SETTINGS)
    assert result.seeds == [1, 2, 3]
    plan = small_study(diary, 0.0).plan
    names = {
        f"{cell.arm}/{cell.condition}/{cell.seed}": plan.file_name(cell, SETTINGS)
        for group in plan.groups(result.seeds)
        for cell in group
    }
    done = lines(diary, "done")
    assert done.keys() == names.keys()
    assert {name: done[name] for name, file in names.items() if file in kept and done[name] > 1} == {}


def test_a_killed_study_leaves_no_process_that_goes_on(tmp_path):
    out, diary = tmp_path / "out", tmp_path / "diary"
    with start(out, diary, 0.5, more_arms=6) as process:
        assert poll_until(lambda: bool(lines(diary, "begun")), timeout_s=120)
        process.kill()
        process.communicate(timeout=120)  # returns when no process holds its end of the pipe
    assert sum(lines(diary, "done").values()) <= 4, "a group has 8 cells"


def test_another_question_has_other_cells(tmp_path, monkeypatch):
    plan, cell = small_study().plan, StudyCell("base", "1", 1)
    name = plan.file_name(cell, SETTINGS)
    others = [
        plan.file_name(cell, SETTINGS.model_copy(update={"consequences": {"block_hours": 1.0}})),
        plan.file_name(cell, SETTINGS.model_copy(update={"world": {"tempo": 2.0}})),
        plan.file_name(StudyCell("base", "2", 1), SETTINGS),
        plan.file_name(StudyCell("base", "1", 2), SETTINGS),
        plan.file_name(StudyCell("other", "1", 1), SETTINGS),
    ]
    monkeypatch.setattr(plan_module, "code_fingerprint", lambda modules: "other code")
    others.append(plan.file_name(cell, SETTINGS))
    assert len({name, *others}) == 7


def test_a_changed_setting_redoes_what_depends_on_it_and_a_new_arm_only_itself(tmp_path):
    out, diary = tmp_path / "out", tmp_path / "diary"

    def done_by(settings, more_arms=0):
        diary.unlink(missing_ok=True)
        conduct(small_study(diary, more_arms=more_arms), out, settings, seeds=1)
        return set(lines(diary, "done"))

    all_cells = {f"{arm}/{condition}/1" for arm in ("base", "other") for condition in ("1", "2")}
    blocks = SETTINGS.model_copy(update={"consequences": {"block_hours": 1.0}})
    assert done_by(SETTINGS) == all_cells
    assert done_by(SETTINGS.model_copy(update={"footprint": {"broker": 1.0}, "seed": 9})) == set()
    assert done_by(blocks) == all_cells
    assert done_by(SETTINGS) == set(), "the figures of both settings are kept"
    assert done_by(SETTINGS, more_arms=1) == {"arm-0/1/1", "arm-0/2/1"}


def test_a_policy_that_was_changed_is_another_question(tmp_path):
    plan, cell = small_study().plan, StudyCell("base", "1", 1)
    settings = SETTINGS.model_copy(update={"policy": tmp_path})
    (tmp_path / "policy.json").write_text("{}")
    before = plan.file_name(cell, settings)
    (tmp_path / "policy.json").write_text("{ }")
    assert plan.file_name(cell, settings) != before


def test_figures_depend_on_the_line_and_not_on_pages():
    files = {
        path.relative_to(ROOT).as_posix()
        for place in plan_module.CODE
        for path in plan_module.files_of(ROOT / place)
    }
    assert {
        "simulator/line/stretch_run.py", "scorer/policies/default/policy.json", "producers/world/world.py",
        "model/forest/fit.py", "studies/frame/study_world.py",
    } <= files  # fmt: skip
    assert not [
        name for name in files if name.startswith(("producers/page", "fraudsim/drawing", "studies/freshness"))
    ]


def test_seeds_are_added_until_the_interval_is_narrow(tmp_path):
    few = conduct(small_study(seeds=3, most_seeds=30, width=1e9), tmp_path, SETTINGS)
    steps: list[tuple[int, int]] = []
    more = conduct(
        small_study(seeds=3, most_seeds=30, width=25.0), tmp_path, SETTINGS,
        on_progress=lambda done, to_do: steps.append((done, to_do)),
    )  # fmt: skip
    stated = conduct(small_study(seeds=3, most_seeds=30, width=1e9), tmp_path, SETTINGS, seeds=5)
    assert steps[0] == (12, 12), "the first seeds were there already"
    assert len(few.seeds) == 3 < len(more.seeds) <= 30
    assert stated.seeds == [1, 2, 3, 4, 5]
    assert json.loads((tmp_path / "result.json").read_text())["seeds"] == stated.seeds


def test_a_study_may_begin_with_other_worlds_than_the_first(tmp_path):
    wide = small_study(seeds=2, most_seeds=5, width=0.0, first_seed=101)
    assert conduct(wide, tmp_path, SETTINGS).seeds == [101, 102, 103, 104, 105]


def test_a_full_disk_ends_the_study_in_one_line(tmp_path):
    out = tmp_path / "out"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    with start(out, Path(os.devnull), 0.0, preexec_fn=limit) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.strip().splitlines() == [error.strip()]
    assert "File too large" in error
    assert "the same command goes on" in error
    assert conduct(small_study(Path(os.devnull)), out, SETTINGS).seeds == [1, 2, 3]


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(FraudsimError, match="Not a directory"):
        conduct(small_study(), tmp_path / "out", SETTINGS)
