"""Prometheus's rules: each alert has a page, a test that it fires, one that it does not, and these bite."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dashboards.prometheus_binaries import find, version
from fraudsim.errors import FraudsimError
from fraudsim.metrics import registry
from fraudsim.settings import Settings

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "dashboards" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"


def rules_of(name):
    groups = yaml.safe_load((FOLDER / "rules" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules_of("alerts.yml")}
RECORDED = {rule["record"] for rule in rules_of("recording.yml")}


def records_in(expr):
    return set(re.findall(r"(?:\w+:)?fraudsim_\w+:\w+", expr))


@pytest.fixture(scope="module")
def promtool():
    try:
        return find("promtool", Settings(_env_file=None).cache_dir)
    except FraudsimError as error:
        pytest.skip(str(error))


def run(promtool, *argv):
    return subprocess.run([promtool, *argv], capture_output=True, text=True, timeout=60, check=False)


# By reading the files; runs everywhere.


def test_each_alert_has_a_page_and_each_page_an_alert():
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == ALERTS.keys()
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_says_what_it_means_where_to_look_and_how_to_end_it(name):
    page = (RUNBOOKS / f"{name}.md").read_text()
    headings = re.findall(r"^## (.*)$", page, re.M)
    assert page.startswith(f"# {name}\n")
    assert headings == ["What it means", "What users feel", "Look first", "Usual causes", "How to end it"]
    assert len(re.findall(r"^\| `", page, re.M)) == 3, "three commands, each with and without Docker"
    assert f"({ALERTS[name]['labels']['severity']})" in page


def test_the_operator_s_page_lists_every_alert():
    listed = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", _operate(), re.M)
    assert {(name, ALERTS[name]["labels"]["severity"]) for name, _, _ in listed} == {
        (name, severity) for name, _, severity in listed
    }
    assert {name for name, page, _ in listed if name == page} == ALERTS.keys()


def _operate():
    return (ROOT / "docs" / "operate.md").read_text()


def test_each_alert_is_tested_firing_and_not_firing():
    assert {path.stem for path in (FOLDER / "tests").glob("*.yml")} == ALERTS.keys()
    for name in ALERTS:
        cases = yaml.safe_load((FOLDER / "tests" / f"{name}.yml").read_text())["tests"]
        checks = [check for case in cases for check in case["alert_rule_test"]]
        assert {check["alertname"] for check in checks} == {name}
        assert {bool(check["exp_alerts"]) for check in checks} == {True, False}


def test_rules_ask_only_for_what_there_is():
    exposed = set()
    for family in registry.collect():
        ends = ("", "_total", "_bucket", "_count", "_sum")
        exposed |= {family.name + end for end in ends}
    for rule in (*ALERTS.values(), *rules_of("recording.yml")):
        assert set(re.findall(r"(?<![:\w])fraudsim_\w+(?![:\w])", rule["expr"])) <= exposed, rule
        assert records_in(rule["expr"]) <= RECORDED, rule


def test_compose_runs_the_version_that_the_tests_are_built_for():
    assert f"PROMETHEUS_IMAGE=prom/prometheus:v{version()}\n" in (ROOT / ".env.example").read_text()


# By Prometheus's own tool.


def test_prometheus_takes_the_configuration(promtool):
    done = run(promtool, "check", "config", str(FOLDER / "prometheus.yml"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_fires_when_it_should_and_only_then(promtool, name):
    done = run(promtool, "test", "rules", str(FOLDER / "tests" / f"{name}.yml"))
    assert done.returncode == 0, done.stderr


# What could be wrong in each expression: (as it is, as it must not be). A number looser or tighter, a
# condition that always holds: some test must notice.
MUTANTS = {
    "LatencyBurnsFast": [
        ("14.4 * 0.01", "13 * 0.01"),
        ("1h > 14.4", "1h > 17"),
        ("1h > 14.4", "1h > 0"),
        ("5m > 14.4", "5m >= 0"),
        ("offset 20m", ""),
        ("> 300", "> 0"),
    ],
    "LatencyBurnsSteadily": [
        ("> 6 * 0.01", "> 4 * 0.01"),
        ("6h > 6", "6h > 8"),
        ("30m > 6", "30m >= 0"),
        ("offset 2h", ""),
        ("> 300", "> 0"),
    ],
    "LatencyBurnsSlowly": [
        ("3d > 1", "3d > 3"),
        ("6h > 1", "6h >= 0"),
        ("> 1 * 0.01", "> 0.4 * 0.01"),
        ("offset 1d", ""),
        ("> 300", "> 0"),
    ],
    "HeartbeatLost": [("> 20", "> 10"), ("> 20", "> 400"), ("time() -", "0 *")],
    "HeartbeatInFuture": [("> 5", "> 2"), ("> 5", "> 10"), ("- time()", "* 1")],
    "TargetDown": [
        ("up == 0", "up == 2"),
        ("up == 0", "up >= 0"),
        *((f'"{job}"', '"prometheus"') for job in ("worker", "scorer", "producer", "labels", "archiver")),
    ],
    "MemoryHigh": [("0.85", "0.7"), ("0.85", "0.95"), ('{job!="prometheus"}', "")],
    "ConsumerLag": [("10000", "8000"), ("10000", "30000")],
    "StateStale": [("> 5", "> 0"), ("> 5", "> 25"), ('"0.5"', '"0.99"')],
    "DeadLetters": [
        ("[10m])) > 0", "[10m])) >= 0"),
        ("[10m])) > 0", "[10m])) > 20"),
        ("offset 10m) > 0", "offset 10m) > 5"),
        ("unless fraudsim_dead_letters_total offset 10m", ""),
    ],
    "FencedWrites": [("> 10", "> 5"), ("> 10", "> 25"), ("[10m]", "[1m]")],
    "RedisMemoryHigh": [
        ("> 0.8", "> 0.7"),
        ("> 0.8", "> 0.85"),
        ("(fraudsim_redis_max_memory_bytes > 0)", "fraudsim_redis_max_memory_bytes"),
    ],
    "RedisFull": [("> 0", ">= 0"), ("> 0", "> 5"), ("[5m]", "[1m]"), ("[5m]", "[15m]")],
    "DegradedDecisions": [("> 0.01", "> 0.004"), ("> 0.01", "> 0.06"), ("> 300", "> 0")],
    "DeclineRateShift": [
        ("> 1.5", "> 1.2"),
        ("> 1.5", "> 3.5"),
        ("< 1 / 1.5", "< 0"),
        ("5 * sqrt", "0 * sqrt"),
        ("offset 30m", ""),
    ],
    "ModelOld": [("90 *", "85 *"), ("90 *", "95 *"), ("_seconds > 0", "_seconds >= 0")],
}  # fmt: skip


def mutants(name):
    expr = ALERTS[name]["expr"]
    yield re.sub(r"\b(fraudsim_\w+|up|process_resident_memory_bytes)\b", r"\1_gone", expr)
    for old, new in MUTANTS[name]:
        assert old in expr, f"{old!r} is not in the expression any more"
        yield expr.replace(old, new)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_the_test_of_an_alert_fails_when_its_expression_is_broken(promtool, name, tmp_path):
    # The alert and what it asks for, no more, as every rule takes its time.
    needed = [
        rule for rule in rules_of("recording.yml") if rule["record"] in records_in(ALERTS[name]["expr"])
    ]
    tests = {}
    for number, expr in enumerate(mutants(name)):
        folder = tmp_path / str(number)
        (folder / "rules").mkdir(parents=True)
        (folder / "tests").mkdir()
        groups = {"line": needed, "burn_rate": [{**ALERTS[name], "expr": expr}]}
        text = yaml.safe_dump({"groups": [{"name": name, "rules": rules} for name, rules in groups.items()]})
        (folder / "rules" / "all.yml").write_text(text)
        tests[expr] = shutil.copy(FOLDER / "tests" / f"{name}.yml", folder / "tests")
    done = run(promtool, "test", "rules", *tests.values())
    output = done.stdout + done.stderr
    assert output.count("FAILED") + output.count("SUCCESS") == len(tests), output
    unnoticed = [
        expr
        for expr, test in tests.items()
        if "SUCCESS" in output and not run(promtool, "test", "rules", test).returncode
    ]
    assert not unnoticed
    assert output.count("alertname: ") >= len(tests), f"not a wrong expression but none: {output}"
