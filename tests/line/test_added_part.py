"""A process added to the table of parts, in a copy of the tree, and nowhere else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[2]
ROW = """\
    LinePart(
        name="auditor",
        title="the auditor",
        service="auditor",
        job="auditor",
        command=lambda run: ["watch", "--from-start"],
        before_stop=Wait("the auditor", lambda run, _: not (run.options.run_dir / "drained").touch(), 5.0),
        stop_place=4,
    ),
)


def parts_of("""
DRIVER = """
import json, sys
from pathlib import Path
from fraudsim.settings import Settings
from runner.line import parts
from runner.line.options import LineOptions
from testing.rigs.live_line import metrics_port, open_direct, run_line, serves_metrics, wait_for_decisions

def scrape(line, observer):
    wait_for_decisions(line, observer, 50)
    line.wait_for("the auditor's metrics", lambda: serves_metrics(line, "auditor"))
    seen["scraped"] = "fraudsim_heartbeat" in open_direct(line.metrics_url("auditor"), 5).read().decode()
    seen["port"] = metrics_port(line, "auditor")

def note(line):
    seen["events"] = [event for _, name, event in line.events if name == "auditor"]
    order = [name for _, name, event in line.events if event in ("stopped", "done")]
    seen["before_archiver"] = order.index("auditor") < order.index("archiver")

seen = {"from": parts.__file__}
run = Path(sys.argv[1])
options = LineOptions(run, seconds=3, rate=100, cards=800, null_seconds=0, reuse=Path(sys.argv[2]))
run_line(options, Settings(_env_file=None, label_gap_days=7), scrape, note, brute_force=1)
print(json.dumps({**seen, "drained": (run / "drained").exists()}))
"""


def test_it_starts_is_scraped_drained_and_stopped_and_compose_is_asked_for(tmp_path, prepared):
    tree = tmp_path / "tree"
    for name in ("fraudsim", "producers", "stream_features", "model", "scorer", "runner", "dashboards",
                 "testing", "tests", "docs"):  # fmt: skip
        shutil.copytree(ROOT / name, tree / name)
    for name in ("docker-compose.yml", "pyproject.toml"):
        shutil.copy2(ROOT / name, tree / name)
    table = tree / "runner" / "line" / "parts.py"
    end = ")\n\n\ndef parts_of("
    assert table.read_text().count(end) == 1
    table.write_text(table.read_text().replace(end, ROW))

    env = {**os.environ, "PYTHONPATH": str(tree)}
    run = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path / "run"), str(prepared)],
        cwd=tree, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout.splitlines()[-1])
    assert seen["from"] == str(table)
    assert (seen["scraped"], seen["drained"], seen["before_archiver"]) == (True, True, True)
    assert seen["events"] == ["started", "stopped"]
    assert 0 < seen["port"] < 65_536

    asked = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/runner/line/test_parts.py"],
        cwd=tree, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "docker-compose.yml needs a service auditor" in asked.stdout
    assert "test_prometheus_has_a_job_for_every_part" in asked.stdout
