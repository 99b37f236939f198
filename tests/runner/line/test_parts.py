"""The table of parts, against compose, Prometheus, the runbooks and the handbook."""

import re
from pathlib import Path

import pytest
import yaml

from fraudsim.addresses import RunningLine, RunningPart, running_line
from fraudsim.settings import Settings
from producers.sender.shard_coordinator import STOP_S
from runner.line.options import LineOptions
from runner.line.parts import PARTS, PreparedRun, in_stop_order

ROOT = Path(__file__).parents[3]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SCORER_DRAIN_S = 15
"""The longest time that the scorer waits for its HTTP server before it publishes the last decisions."""


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_compose_runs_every_part_and_gives_it_time_to_stop(part):
    assert part.service in SERVICES, f"docker-compose.yml needs a service {part.service}"
    service = SERVICES[part.service]
    assert seconds(service["stop_grace_period"]) > part.stop_timeout_s
    run = PreparedRun(LineOptions(Path("run"), seconds=None), Settings(_env_file=None), 100.0)
    command, in_compose = part.command(run)[0], service["command"][0]
    assert {"produce-line": "produce", "label-line": "labels"}.get(in_compose, in_compose) == command


def test_compose_stops_the_archiver_last_and_gives_way_as_niceness_does():
    (*others, last) = in_stop_order(LineOptions(Path("run")))
    assert last.name == "archiver"
    assert all(last.service in SERVICES[part.service]["depends_on"] for part in others)
    shares = {part: SERVICES[part.service]["cpu_shares"] for part in PARTS}
    assert all(shares[a] >= shares[b] for a in PARTS for b in PARTS if a.nice < b.nice), shares


def test_prometheus_has_a_job_for_every_part():
    config = yaml.safe_load((ROOT / "dashboards/prometheus/prometheus.yml").read_text())
    jobs = {
        job["job_name"]: job["dns_sd_configs"][0]["names"]
        for job in config["scrape_configs"]
        if "dns_sd_configs" in job
    }
    assert {job: names[0] for job, names in jobs.items()} == {part.job: part.service for part in PARTS}
    # What may stand in a part's place, in a profile of its own.
    others = {name for names in jobs.values() for name in names[1:]}
    assert all("profiles" in SERVICES[name] for name in others), others


def test_runbooks_name_parts_and_services_that_exist():
    parts, services = {part.name for part in PARTS}, set(SERVICES)
    for path in (*(ROOT / "docs/runbooks").glob("*.md"), ROOT / "docs/operate.md"):
        text = path.read_text()
        assert set(re.findall(r"`m (\w+)", text)) <= parts, path.name
        assert set(re.findall(r"runs/latest/logs/(\w+)\.log", text)) <= parts | {"kafka", "redis"}, path.name
        assert set(re.findall(r"logs (?:--\w+ (?:\d+ )?)*(\w+)`", text)) <= services, path.name


def test_the_handbook_s_function_finds_a_part_s_port(tmp_path, monkeypatch):
    import subprocess

    folder = tmp_path / "runs" / "latest"
    folder.mkdir(parents=True)
    parts = {"worker": RunningPart("worker", 20_001, 7), "scorer": RunningPart("scorer", 20_002, None)}
    line = RunningLine("127.0.0.1:1", "redis://:word@127.0.0.1:2/0", "http://127.0.0.1:3", parts)
    line.write(folder)
    assert running_line(folder) == line
    assert (folder / "parts.json").stat().st_mode & 0o777 == 0o600
    (function,) = re.findall(r"^m\(\) .*$", (ROOT / "docs/operate.md").read_text(), re.M)
    script = f'curl() {{ echo "$@"; }}\n{function}\nm scorer'
    answer = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-1] == "127.0.0.1:20002/metrics"


def test_a_line_whose_owner_is_gone_does_not_run(tmp_path):
    RunningLine("127.0.0.1:1", "redis://127.0.0.1:2/0", "http://127.0.0.1:3").write(tmp_path)
    path = tmp_path / "parts.json"
    assert running_line(tmp_path) is not None
    path.write_text(re.sub(r'"owner_started_s": [\d.]+', '"owner_started_s": 1.5', path.read_text()))
    assert running_line(tmp_path) is None


def test_every_part_has_longer_to_stop_than_it_takes():
    timeouts = {part.name: part.stop_timeout_s for part in PARTS}
    assert timeouts["scorer"] >= SCORER_DRAIN_S + 10
    assert timeouts["producer"] > STOP_S
