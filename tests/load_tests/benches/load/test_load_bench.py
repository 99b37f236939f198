"""The bench's own parts: steps that are kept, and the commit that must be found slower."""

import subprocess
import threading

import pytest

from fraudsim.errors import FraudsimError
from load_tests.benches.load.bench import LoadBenchPlan, overlap, report_of
from load_tests.benches.load.kept_steps import KeptSteps, StepOutcome
from load_tests.benches.load.slowed_commit import DECIDER, full_id, slowed_commit, with_pause
from load_tests.load.compare.command import REPOSITORY


def steps(folder, said):
    return KeptSteps(folder, threading.Event(), said.append)


def test_a_step_that_is_done_is_kept_and_another_command_is_run_anew(tmp_path):
    folder, said = tmp_path / "bench", []
    capacity = folder / "capacity"
    capacity.mkdir(parents=True)
    (capacity / "result.json").write_text(
        '{"format": 1, "kind": "capacity", "rate": 100, "steps": [{"costs": {"transactions": 400, '
        '"seconds": 10, "processes": {"scorer": {"core_share": 0.1, "memory_mb": 1}}}}]}'
    )
    bill = ["load", "bill", str(capacity), "--rate", "1000"]
    first = steps(folder, said).run("bill", bill)
    assert (first.exit_code, first.result["kind"]) == (0, "bill")
    again = steps(folder, said).run("bill", bill)
    assert again == first
    assert said[-1] == "bill: kept"
    other = steps(folder, said).run("bill", [*bill, "--rate", "7"])
    assert len(other.result["rates"]) == 2


def test_a_step_that_cannot_start_says_why_and_is_not_kept(tmp_path):
    with pytest.raises(FraudsimError, match="name the --out folder of `fraudsim load capacity`"):
        steps(tmp_path, []).run("bill", ["load", "bill", str(tmp_path / "none")])
    assert steps(tmp_path, []).done("bill", ["load", "bill", str(tmp_path / "none")]) is None


def test_the_slowed_commit_differs_by_one_pause_and_is_the_same_again(tmp_path):
    repository = tmp_path / "repository"
    (repository / DECIDER).parent.mkdir(parents=True)
    source = (REPOSITORY / DECIDER).read_text()
    (repository / DECIDER).write_text(source)
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "One"]):
        subprocess.run([*git, *words], check=True)
    head = full_id("HEAD", repository)
    slowed = slowed_commit("HEAD", 0.002, repository)
    assert slowed == slowed_commit(head, 0.002, repository) != head
    assert full_id("HEAD", repository) == head
    shown = subprocess.run(
        [*git, "show", f"{slowed}:{DECIDER}"], check=True, capture_output=True, text=True
    ).stdout
    added = [line.strip() for line in shown.splitlines() if line not in source.splitlines()]
    assert added == ["__import__('time').sleep(0.002)"]
    compile(shown, "decide.py", "exec")
    with pytest.raises(FraudsimError, match="no commit nowhere"):
        full_id("nowhere", repository)
    with pytest.raises(FraudsimError, match="has no Decider"):
        with_pause("x = 1", 0.1)


def outcome(code=0, **result):
    return StepOutcome(command=[], exit_code=code, result=result)


def test_the_report_counts_false_alarms_and_says_whether_intervals_overlap():
    lost = outcome(3, rate=None, low=None, high=None)
    capacities = {
        "capacity-http-1": outcome(rate=100, low=90, high=110),
        "capacity-http-2": outcome(rate=120, low=105, high=130),
        "capacity-stream-1": outcome(rate=100, low=90, high=110),
        "capacity-stream-2": lost,
    }
    compares = [
        outcome(verdict="no difference"),
        outcome(1, verdict="worse"),
        outcome(3, verdict="not measured", why="late"),
    ]
    report = report_of(LoadBenchPlan(), capacities, {}, compares, outcome(1, verdict="worse"))
    assert report["intervals_overlap"] == {"http": True, "stream": None}
    assert (report["compare_same"]["false_alarms"], report["compare_same"]["why"]) == (1, ["late"])
    assert report["compare_slowed"]["exit_code"] == 1
    assert overlap([{"rate": 1, "low": 1, "high": 2}, {"rate": 4, "low": 3, "high": 5}]) is False
