"""The compose file: its rules, checked by reading it, and the steps of its one-shot services."""

import json
import os
import re
import shutil
import socket
import subprocess
import tomllib
import uuid
from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.topics import CLOCK, create_topics
from fraudsim.settings import Settings, variable
from load_tests.load.generators.plan import ARRIVALS_VARIABLE, RATE_VARIABLE, SECONDS_VARIABLE
from producers.world.config import WorldConfig
from runner.line.one_shots import (
    keep_or_copy_policy,
    keep_or_make_history,
    keep_or_register_model,
    keep_or_start_clock,
    keep_or_train_model,
)
from runner.stack import kafka_server

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker-compose.yml"
ONE_SHOTS = {"prepare", "topics", "clock", "prime"}
SETTINGS = {variable(name) for name in Settings.model_fields}


def text(name):
    return (ROOT / name).read_text()


def defaults():
    """The variables of `.env.example` that are not commented out."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text(".env.example"), re.MULTILINE))


def answers(*command):
    """Whether a command exists and succeeds."""
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


# Read as files; runs everywhere.


def test_the_example_environment_says_what_the_compose_file_does_without_it():
    in_compose = set(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text("docker-compose.yml")))
    assert in_compose == set(defaults().items())
    assert "$" not in re.sub(r"\$\{[A-Z_]+:-[^}]*\}", "", text("docker-compose.yml"))


def test_every_image_is_pinned_to_a_full_version():
    images = {name: value for name, value in defaults().items() if name.endswith("_IMAGE")}
    assert len(images) == 7
    for name, image in images.items():
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+(-[a-z-]+)?", image), name
    assert f"ARG PYTHON_IMAGE={images['PYTHON_IMAGE']}\n" in text("Dockerfile")
    assert set(re.findall(r"^FROM (\S+)", text("Dockerfile"), re.MULTILINE)) == {"${PYTHON_IMAGE}", "app"}


def test_every_setting_that_is_named_exists():
    of_locust = {RATE_VARIABLE, SECONDS_VARIABLE, ARRIVALS_VARIABLE}
    for name in ("docker-compose.yml", ".env.example", "Dockerfile"):
        assert set(re.findall(r"\bFRAUDSIM_[A-Z_]+", text(name))) <= SETTINGS | of_locust, name


def test_the_image_installs_only_what_the_lock_has_a_hash_of_and_runs_without_rights():
    installs = re.findall(r"pip install ([^&\\\n]*)", text("Dockerfile"))
    assert installs == [
        "--quiet --no-deps --require-hashes -r requirements.lock ",
        "--quiet --no-deps --no-build-isolation .",
        "--quiet --no-deps --no-build-isolation --require-hashes -r /tmp/requirements-spark.lock",
    ]
    user = re.findall(r"^USER (\d+):(\d+)$", text("Dockerfile"), re.MULTILINE)[-1]
    assert min(map(int, user)) > 0


def test_the_build_gets_every_package_and_nothing_that_is_not_named():
    allowed = text(".dockerignore").splitlines()
    find = tomllib.loads(text("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]
    for package in find["include"]:
        assert f"!{package.rstrip('*')}" in allowed
    assert "*" in allowed
    assert not {"!.env", "!runs", "!.git", "!.venv"} & set(allowed)


def test_prometheus_asks_every_process_where_it_answers():
    config = text("dashboards/prometheus/prometheus.yml")
    port = re.search(r'FRAUDSIM_METRICS_PORT: "(\d+)"', text("docker-compose.yml"))
    assert port
    assert set(re.findall(r"port: (\d+)", config)) == {port[1]}


def test_health_checks_ask_without_a_proxy():
    """A proxy variable in .env reaches every container."""
    checks = [line for line in text("docker-compose.yml").splitlines() if "http://127.0.0.1" in line]
    assert len([line for line in checks if "wget" in line]) == 2
    assert all("-Y, " in line for line in checks if "wget" in line)
    assert "urlopen" not in text("docker-compose.yml")
    assert text("docker-compose.yml").count("ProxyHandler({})") == 3


@pytest.mark.parametrize(
    ("setting", "prefixes"), [("worker_name", ["features"]), ("scorer_name", ["scorer", "lagged"])]
)
def test_every_replica_has_a_name_of_its_own(setting, prefixes):
    """Kafka removes the earlier of two group members with one name."""
    names = re.findall(rf'{variable(setting)}: "([^"]*)"', text("docker-compose.yml"))
    members = [getattr(Settings(_env_file=None, **{setting: name}), setting) for name in names]
    assert sorted(members) == sorted(f"{prefix}-{socket.gethostname()}" for prefix in prefixes)


def test_whoever_reaches_grafana_may_look_and_nobody_may_log_in():
    grafana = dict(
        re.findall(r"^ +GF_([A-Z_]+): \"?([^\"\n]*)\"?$", text("docker-compose.yml"), re.MULTILINE)
    )
    assert grafana["AUTH_ANONYMOUS_ENABLED"] == "true"
    assert grafana["AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert grafana["AUTH_BASIC_ENABLED"] == "false"
    assert grafana["AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert grafana["SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert not [name for name in grafana if "PASSWORD" in name or "SECRET" in name]


def test_kafka_is_set_as_in_the_stack_without_docker():
    environment = dict(re.findall(r"^ +KAFKA_([A-Z_]+): \"?([^\"\n]*)\"?$", text("docker-compose.yml"), re.M))
    shared = [line.split("=", 1) for line in kafka_server._PROPERTIES.split() if "{" not in line]
    for name, value in shared:
        if name == "log.dirs":
            continue  # a container has its own
        assert environment[name.upper().replace(".", "_")] == value, name
    assert environment["LOG_DIRS"].startswith("/")


# Read by docker compose; needs its client, but no engine.


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    """The services of every profile, without an .env file."""
    if not answers("docker", "compose", "version"):
        pytest.skip("needs the docker client with its compose plugin")
    folder = tmp_path_factory.mktemp("project")
    command = ["docker", "compose", "--file", str(COMPOSE), "--project-directory", str(folder)]
    command += ["--env-file", os.devnull, "--profile", "*", "config", "--format", "json"]
    env = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ}
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["services"]


def own(services):
    """The services that run one of this project's images."""
    images = {defaults()["APP_IMAGE"], defaults()["SPARK_IMAGE"]}
    return {name: service for name, service in services.items() if service["image"] in images}


def test_whatever_stays_is_checked_restarted_and_told_to_stop_in_time(services):
    for name, service in services.items():
        if name in ONE_SHOTS:
            assert service["restart"] == "no", name
            continue
        assert service["restart"] == "unless-stopped", name
        assert {"test", "interval", "timeout", "retries", "start_interval"} <= service[
            "healthcheck"
        ].keys(), name


def test_every_container_is_limited_and_contained(services):
    for name, service in services.items():
        assert int(service["mem_limit"]) <= (4 if name == "features-spark" else 2) * 1024**3, name
        assert service["pids_limit"] == 512, name
        assert service["init"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert "network_mode" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name
        assert service.get("read_only", False) or name == "kafka", name
        # The image's own user is appuser (Kafka) or 10001 (ours).
        assert service.get("user", "image's") not in ("root", "0"), name
        for mount in service.get("volumes", []):
            assert mount["type"] == "volume" or mount["read_only"], name


def test_ports_are_published_on_the_loopback_only(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["target"] for port in published} == {3000, 8000, 8050, 8089, 9090}
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert "-" in services["scorer"]["ports"][0]["published"], "replicas need a port each"
    assert not [name for name, service in services.items() if "container_name" in service]


def test_everything_waits_for_what_it_needs(services):
    """`up --wait` counts an ended one-shot as a failure unless a service waits for its success."""
    conditions = {
        (other, dependency["condition"])
        for service in services.values()
        for other, dependency in service.get("depends_on", {}).items()
    }
    for other, condition in conditions:
        expected = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        assert condition == expected, other
    assert {other for other, _ in conditions} >= ONE_SHOTS
    # Services stop in the opposite order: the archiver still reads the last records of these.
    assert all("archiver" in services[name]["depends_on"] for name in ("features", "scorer", "producer"))


def test_every_process_serves_metrics_and_is_built_once(services):
    for name, service in own(services).items():
        assert service["environment"][variable("metrics_host")] == "0.0.0.0", name
        Settings(
            _env_file=None,
            **{k.removeprefix("FRAUDSIM_").lower(): v for k, v in service["environment"].items()},
        )
    built = {name: service["image"] for name, service in services.items() if "build" in service}
    assert built == {"prepare": defaults()["APP_IMAGE"], "features-spark": defaults()["SPARK_IMAGE"]}


def test_every_command_exists_and_takes_its_options(services):
    from typer.main import get_command

    from fraudsim.cli import build

    for name, service in own(services).items():
        if service["entrypoint"] is not None:
            continue
        command, arguments = get_command(build()), list(service["command"])
        while hasattr(command, "commands"):
            subcommand = arguments.pop(0)
            assert subcommand in command.commands, f"{name}: fraudsim {' '.join(service['command'])}"
            command = command.commands[subcommand]
        command.make_context(name, arguments)


# One-shot steps: each keeps what exists, and refuses parts that do not belong together.


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    keep_or_make_history(folder / "history", WorldConfig(cards=500, seed=3), days=40)
    return folder


def test_a_history_that_is_there_is_kept_and_another_one_refused(run_dir):
    written_ns = (run_dir / "history" / "manifest.json").stat().st_mtime_ns
    _, is_new = keep_or_make_history(run_dir / "history", WorldConfig(cards=500, seed=3), days=40)
    assert not is_new
    assert (run_dir / "history" / "manifest.json").stat().st_mtime_ns == written_ns
    with pytest.raises(FraudsimError, match="has days=40, but 41 is requested"):
        keep_or_make_history(run_dir / "history", WorldConfig(cards=500, seed=3), days=41)


def test_a_policy_that_is_there_is_kept_and_what_is_none_refused(tmp_path):
    version, is_copied = keep_or_copy_policy(tmp_path / "policy")
    assert is_copied
    assert keep_or_copy_policy(tmp_path / "policy") == (version, False)
    (tmp_path / "policy" / "policy.json").write_text("{")
    with pytest.raises(FraudsimError, match=r"policy\.json"):
        keep_or_copy_policy(tmp_path / "policy")


def test_a_model_of_this_history_is_kept_and_one_of_another_refused(run_dir, tmp_path):
    settings = Settings(_env_file=None)
    history, _ = keep_or_make_history(run_dir / "history", WorldConfig(cards=500, seed=3), days=40)
    version, is_trained = keep_or_train_model(history, run_dir / "model", settings)
    assert is_trained
    assert keep_or_train_model(history, run_dir / "model", settings) == (version, False)
    registry = tmp_path / "models"
    assert keep_or_register_model(run_dir / "model", registry) == (version, True)
    assert keep_or_register_model(run_dir / "model", registry) == (version, False)
    (registry / version / "model.ubj").write_bytes(b"")
    with pytest.raises(FraudsimError, match=r"model\.ubj"):
        keep_or_register_model(run_dir / "model", registry)
    other, _ = keep_or_make_history(tmp_path / "history", WorldConfig(cards=20, seed=4), days=10)
    with pytest.raises(FraudsimError, match="was trained on history"):
        keep_or_train_model(other, run_dir / "model", settings)


def test_producer_and_label_feed_go_on_from_the_same_history_at_one_speed(run_dir, monkeypatch):
    from producers.label_feed import process as feed
    from producers.traffic import produce
    from runner.one_shots_cli import label_line, produce_line

    calls = []
    monkeypatch.setattr(produce, "run_producer", lambda stream, **options: calls.append((stream, options)))
    monkeypatch.setattr(feed, "run_feed", lambda stream, **options: calls.append((stream, options)))
    produce_line(run_dir, rate=100.0, seconds=None, shards=1)
    label_line(run_dir, rate=100.0, seconds=None)
    (sent, _), (labelled, _) = calls
    assert sent.history == labelled.history == run_dir / "history"
    assert sent.speed == labelled.speed > 100
    assert (sent.labels, labelled.labels) == (False, True)


@pytest.mark.stack
def test_a_log_is_started_once_for_one_history(stack, run_dir, tmp_path):
    settings = Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap)
    prefix = f"{uuid.uuid4().hex[:8]}."
    create_topics(settings, prefix)
    topic = prefix + CLOCK
    history, _ = keep_or_make_history(run_dir / "history", WorldConfig(cards=500, seed=3), days=40)
    first, is_started = keep_or_start_clock(settings, history, 1000.0, topic)
    second, is_restarted = keep_or_start_clock(settings, history, 500.0, topic)
    assert (is_started, is_restarted) == (True, False)
    assert second.log_id == first.log_id
    assert first.first.event_epoch_ms == history.manifest.end_ms
    with pytest.raises(FraudsimError, match="start a new log for a higher speed"):
        keep_or_start_clock(settings, history, 2000.0, topic)
    other, _ = keep_or_make_history(tmp_path / "history", WorldConfig(cards=20, seed=4), days=10)
    with pytest.raises(FraudsimError, match="use the history it was started with"):
        keep_or_start_clock(settings, other, 1000.0, topic)
