"""The compose file on a real engine, if `docker info` answers: up, observed, loaded, killed, removed."""

import json
import math
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import pytest

from fraudsim.polling import poll_until
from load_tests.load.arrivals.schedule import schedule_us
from load_tests.load.arrivals.shapes import parse_shape
from tests.compose_page import ComposePage
from tests.dashboards.board_queries import NO_PAST, queries, recorded
from tests.host_load import send

pytestmark = pytest.mark.long
ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker-compose.yml"
ONE_SHOTS = ("prepare", "topics", "clock", "prime")
LINE = ("features", "scorer", "producer", "labels", "archiver", "page")
SERVERS = ("kafka", "redis", "prometheus")
RATE, SECONDS = 500, 120
LOAD_RATE, LOAD_SECONDS = 20, 20
CONTROLLED = ("producer", "labels", "page")
ROWS = ("/v1/score", "from intended send")

COUNT = """
import duckdb
log = "/var/lib/fraudsim/run/log/"
print(duckdb.sql(f'''
    WITH decided AS (SELECT DISTINCT source_partition, source_offset, tx_id FROM '{log}decisions-*.parquet')
    SELECT (SELECT count(DISTINCT tx_id) FROM '{log}transactions-*.parquet' WHERE tx_id LIKE 'PREFIX%'),
        (SELECT count(*) FROM decided WHERE tx_id LIKE 'PREFIX%'),
        (SELECT count(DISTINCT tx_id) FROM decided WHERE tx_id LIKE 'PREFIX%')
''').fetchall()[0])
"""


SENT = """
import duckdb
print(*duckdb.sql('''
    SELECT string_agg(tx_id, ' ') FROM (SELECT DISTINCT partition, "offset", tx_id
    FROM '/var/lib/fraudsim/run/log/transactions-*.parquet' WHERE tx_id LIKE 'PREFIX%')
''').fetchall()[0])
"""


def succeeds(*command, **options):
    """Whether a command exists and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False, **options).returncode == 0
    except FileNotFoundError:
        return False


class Project:
    """A compose project of its own name, image, ports and small world."""

    def __init__(self, **variables):
        self.name = f"fraudsim-test-{uuid.uuid4().hex[:8]}"
        self.image = f"{self.name}:1.0.0"
        small = {"LINE_RATE": "100", "LINE_CARDS": "500", "LINE_HISTORY_DAYS": "40"}
        ports = dict.fromkeys(
            ("SCORER_PORTS", "PROMETHEUS_PORT", "GRAFANA_PORT", "LOCUST_PORT", "PAGE_PORT"), "0"
        )
        load = {"FRAUDSIM_LOAD_RATE": str(LOAD_RATE), "FRAUDSIM_LOAD_SECONDS": str(LOAD_SECONDS)}
        self.env = {**os.environ, **small, **ports, **load, "APP_IMAGE": self.image, **variables}

    def run(self, *argv, timeout=300):
        command = ["docker", "compose", "--project-name", self.name, "--file", str(COMPOSE), *argv]
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=timeout, check=False
        )

    def compose(self, *argv, timeout=300):
        result = self.run(*argv, timeout=timeout)
        assert result.returncode == 0, f"{' '.join(argv)}: {result.stderr[-2000:]}"
        return result.stdout

    def up(self, *options):
        self.compose("up", "--detach", "--wait", "--wait-timeout", "280", *options)

    def health(self):
        """Health by (service, container); one-shots that have ended are left out."""
        containers = map(json.loads, self.compose("ps", "--format", "json").splitlines())
        return {(item["Service"], item["Name"]): item["Health"] for item in containers}

    def resources(self):
        """Containers, volumes and networks with this project's label."""
        label = f"label=com.docker.compose.project={self.name}"
        kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
        return [
            line
            for kind in kinds
            for line in subprocess.check_output(
                ["docker", *kind, "--quiet", "--filter", label], text=True
            ).split()
        ]

    def address(self, service, port, index=1):
        return self.compose("port", "--index", str(index), service, port).strip()

    def get(self, service, port, path, index=1):
        url = f"http://{self.address(service, port, index)}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)

    def values(self, query):
        """Prometheus's answer to a query, one number per series."""
        arguments = urllib.parse.urlencode({"query": query})
        result = self.get("prometheus", "9090", f"/api/v1/query?{arguments}")["data"]["result"]
        return [float(series["value"][1]) for series in result]

    def metric(self, query):
        """The sum over all series; 0.0 if there is none."""
        return sum(self.values(f"sum({query})"))

    def in_kafka(self, tool, *argv, stdin=""):
        command = ["docker", "compose", "--project-name", self.name, "--file", str(COMPOSE)]
        command += ["exec", "-T", "kafka", f"/opt/kafka/bin/kafka-{tool}.sh"]
        command += ["--bootstrap-server", "localhost:9092", *argv]
        result = subprocess.run(
            command, env=self.env, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stderr[-2000:]
        return result.stdout

    def ends(self):
        """Numbers of records in `transactions` and `decisions`."""
        records = {"transactions": 0, "decisions": 0}
        for line in self.in_kafka("get-offsets", "--topic", "transactions|decisions").split():
            topic, _, end = line.split(":")
            records[topic] += int(end)
        return records

    def in_archive(self, prefix=""):
        """Of the tx_ids with a prefix: those in the log, their decisions, and those with a decision."""
        code = COUNT.replace("PREFIX", prefix)
        output = self.compose("run", "--rm", "--no-deps", "--entrypoint=python", "prepare", "-c", code)
        return tuple(map(int, re.findall(r"\d+", output)))

    def sent_ids(self, prefix):
        """The tx_ids with a prefix in `transactions`, as often as they are there."""
        code = SENT.replace("PREFIX", prefix)
        return self.compose("run", "--rm", "--no-deps", "--entrypoint=python", "prepare", "-c", code).split()

    def state(self):
        """What a second `up` must not change: history, model, aliases, policy, and the id of the log."""
        files = "history/manifest.json model/manifest.json models/aliases.json policy/policy.json"
        code = f"cat {files} | sha256sum"
        options = ["--workdir=/var/lib/fraudsim/run", "--entrypoint=sh"]
        digest = self.compose("run", "--rm", "--no-deps", *options, "prepare", "-c", code)
        return digest, self.get("scorer", "8000", "/v1/clock")["log_id"]


@pytest.fixture(scope="module")
def project():
    if not succeeds("docker", "info"):
        pytest.skip("needs a running Docker engine: `docker info` does not answer")
    started = Project(FRAUDSIM_HTTP_DURABILITY="acked")
    try:
        started.compose("build", "--quiet", timeout=1500)
        started.up()
        yield started
    finally:
        started.compose("--profile", "*", "down", "--volumes", "--timeout", "60")
        subprocess.run(["docker", "image", "rm", started.image], capture_output=True, check=False)
    assert started.resources() == []


def wait_for_decisions(project, count=200):
    """Wait until the line has made `count` more decisions."""
    before = project.metric("fraudsim_decisions_total")
    assert poll_until(lambda: project.metric("increase(fraudsim_decisions_total[20s])") > 100, 120), before
    now = project.ends()["decisions"]
    assert poll_until(lambda: project.ends()["decisions"] > now + count, 120)


def test_all_of_it_comes_up_healthy_from_nothing_and_decides(project):
    assert set(project.health().values()) == {"healthy"}
    assert {service for service, _ in project.health()} == {*LINE, *SERVERS}
    assert poll_until(lambda: project.metric("up") == 7, 60)
    wait_for_decisions(project)


@pytest.fixture
def watched(project):
    """The project with `watch`, which belongs to Grafana's profile, for one test."""
    profile = ("--profile", "observability")
    project.compose(*profile, "up", "--detach", "--wait", "watch")
    yield project
    project.compose(*profile, "rm", "--stop", "--force", "watch")


def test_every_rule_and_every_panel_has_data(watched):
    project = watched
    with pytest.raises(urllib.error.HTTPError):
        project.get("scorer", "8000", "/v1/decisions/nobody")
    project.in_kafka("console-producer", "--topic", "transactions", stdin="{\n")  # a dead letter
    sources = {query: f"{board}, {panel}" for board, panel, query in queries("1m")}
    sources |= dict.fromkeys(recorded(), "a recording rule")
    missing = {query for query in sources if not any(name in query for name in NO_PAST)}

    def all_have_data():
        missing.difference_update(
            [query for query in missing if any(not math.isnan(value) for value in project.values(query))]
        )
        return not missing

    poll_until(all_have_data, 240, every_s=2.0)
    assert {sources[query]: query for query in missing} == {}


def test_grafana_shows_its_dashboards(project):
    (image,) = re.findall(r"GRAFANA_IMAGE:-([^}]+)", COMPOSE.read_text())
    if not (succeeds("docker", "image", "inspect", image) or succeeds("docker", "pull", image)):
        pytest.skip("Grafana's image is not to be had here")
    project.compose("--profile", "observability", "up", "--detach", "--wait", "grafana")
    assert len(project.get("grafana", "3000", "/api/search?type=dash-db")) == 4


def test_what_a_host_sends_through_the_published_port_is_all_answered_and_all_in_the_log(project):
    prefix = f"host-{uuid.uuid4().hex[:8]}-"
    replies = send(project.address("scorer", "8000"), RATE, SECONDS, prefix)
    refused = replies.pop("again", 0)
    assert replies == {200: RATE * SECONDS}
    assert refused < 0.05 * RATE * SECONDS
    counts = []

    def all_archived():
        counts.append(project.in_archive(prefix))
        return counts[-1] == (RATE * SECONDS,) * 3

    assert poll_until(all_archived, 90, every_s=2.0), counts[-1]


def swarm(project, path, **form):
    """Ask Locust's page, as a browser would."""
    body = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(
        f"http://{project.address('locust', '8089')}{path}", body, timeout=10
    ) as answer:
        return json.load(answer)


def requests_by_row(project):
    """Requests by row of Locust's page, and how many of them failed."""
    rows = {row["name"]: row for row in swarm(project, "/stats/requests")["stats"]}
    requests = {name: rows[name]["num_requests"] for name in ROWS if name in rows}
    return requests, sum(rows[name]["num_failures"] for name in ROWS if name in rows)


@pytest.fixture
def locust(project):
    """The project with Locust's page and two workers, for one test."""
    profile = ("--profile", "load")
    project.compose(
        *profile, "up", "--detach", "--wait", "--scale", "locust-worker=2", "locust", "locust-worker"
    )
    yield project
    project.compose(*profile, "rm", "--stop", "--force", "locust", "locust-worker")


def test_locusts_workers_send_the_schedule_and_nothing_twice_at_every_start(locust):
    """The union of what two workers sent is the schedule: by its numbers in the log, and in the decisions."""
    project, count = locust, len(schedule_us(parse_shape("poisson"), LOAD_RATE, LOAD_SECONDS, 1))
    assert poll_until(lambda: swarm(project, "/stats/requests")["worker_count"] == 2, 60)
    for start in (1, 2):
        assert swarm(project, "/swarm", user_count=16, spawn_rate=16)["success"]
        assert poll_until(lambda: swarm(project, "/stats/requests")["state"] == "running", 60)
        assert poll_until(lambda: swarm(project, "/stats/requests")["state"] == "stopped", 180, every_s=1.0)
        # The master hears of the workers' last requests a few seconds after the end.
        rows = (dict.fromkeys(ROWS, count), 0)
        assert poll_until(lambda rows=rows: requests_by_row(project) == rows, 60), requests_by_row(project)
        found = []

        def all_archived(found=found, start=start):
            found.append(project.in_archive("load-locust-"))
            return found[-1] == (start * count,) * 3

        assert poll_until(all_archived, 90, every_s=2.0), found[-1]
        runs = {}
        for tx_id in project.sent_ids("load-locust-"):
            run_id, _, number = tx_id.rpartition("-")
            runs.setdefault(run_id, []).append(int(number))
        assert [sorted(numbers) for numbers in runs.values()] == [list(range(count))] * start
    logs = project.compose("--profile", "load", "logs", "--no-color", "locust")
    assert logs.count(f"{count} requests of the schedule sent by 2 workers") == 2


def status_of(ask):
    """The status with which a request is refused."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask()
    return refused.value.code


def test_the_page_moves_and_streams_on_its_published_port_and_takes_no_controls(project):
    page = ComposePage(project)
    before = page.figures()
    assert poll_until(lambda: page.figures()["decided"] > before["decided"] + 200, 120)
    after = page.figures()
    assert after["lost"] == after["duplicated"] == 0
    assert after["p99_ms"] > 0
    assert after["rate"] > 0
    parts = ("worker", "scorer", "producer", "archiver", "labels")
    assert poll_until(lambda: {page.boxes()[part] for part in parts} == {"up"}, 60), page.boxes()
    decided = page.decided_by_snapshot(12)  # three seconds
    assert decided == sorted(decided)
    assert decided[0] < decided[-1]
    assert status_of(lambda: urllib.request.urlopen(page.url, timeout=5)) == 401
    assert status_of(page.offer) == status_of(lambda: page.ask("pause")) == 404


@pytest.fixture
def controlled(project, tmp_path):
    """The project with controls, for one test."""
    override = tmp_path / "controls.yml"
    on = "    environment: { FRAUDSIM_CONTROLS: 'true' }\n"
    override.write_text("services:\n" + "".join(f"  {name}:\n{on}" for name in CONTROLLED))
    project.compose("--file", str(override), "up", "--detach", "--wait", *CONTROLLED)
    yield project
    project.up()


def test_with_controls_the_page_launches_an_attack_and_kills_nothing(controlled):
    project, page = controlled, ComposePage(controlled)
    assert set(page.offer()["kinds"]) == {"attack", "drift", "rate", "pause", "resume"}
    for kind, part in (("kill", "worker"), ("stop", "redis")):
        assert status_of(lambda kind=kind, part=part: page.ask(kind, part=part, seconds=1)) == 400
    assert poll_until(lambda: page.figures().get("decided", 0) > 0, 60)
    control = page.ask("attack", typology="card_testing", campaigns=2, camouflage=0.0, tempo=4)["control_id"]
    prefix = ["--topic", "run.control", "--from-beginning", "--timeout-ms", "8000"]

    def kinds():
        records = map(json.loads, project.in_kafka("console-consumer", *prefix).splitlines())
        return [record["kind"] for record in records if control in json.dumps(record)]

    assert poll_until(lambda: "placed" in kinds(), 120, every_s=1.0), kinds()


@pytest.mark.parametrize("service", [*SERVERS, *LINE])
def test_whatever_is_killed_comes_back_by_itself(project, service):
    (container,) = [name for other, name in project.health() if other == service]
    # Every process of the container except its init, which then ends too.
    project.run("exec", "-T", service, "sh", "-c", "kill -9 -1")

    def is_back():
        state = json.loads(subprocess.check_output(["docker", "inspect", container], text=True))[0]
        return state["RestartCount"] > 0 and set(project.health().values()) == {"healthy"}

    assert poll_until(is_back, 200, every_s=1.0), project.health()
    wait_for_decisions(project)


def test_another_model_decides_for_some_cards_is_promoted_and_rolled_back(project):
    def prepare(*argv, **env):
        variables = [f"--env={name}={value}" for name, value in env.items()]
        return project.compose("run", "--rm", "--no-deps", *variables, "prepare", *argv, timeout=400)

    def served():
        return project.get("scorer", "8000", "/v1/model")["version"]

    first, run = served(), "/var/lib/fraudsim/run"
    prepare("train", f"--history={run}/history", f"--out={run}/new", FRAUDSIM_LABEL_GAP_DAYS=14)
    (other,) = re.findall(r"\b[0-9a-f]{16}\b", prepare("model", "put", f"{run}/new"))
    assert other != first
    prepare("model", "challenge", other, "--share=0.5")
    decisions = f'fraudsim_model_decisions_total{{version="{other}",variant="challenger"}}'
    assert poll_until(lambda: project.metric(decisions) > 0, 60)
    prepare("model", "promote", other)
    assert poll_until(lambda: served() == other, 30), served()
    prepare("model", "rollback")
    assert poll_until(lambda: served() == first, 30), served()
    wait_for_decisions(project)


def test_workers_and_scorers_are_scaled_and_prometheus_finds_them(project):
    project.up("--scale", "features=2", "--scale", "scorer=2")
    ports = {project.address("scorer", "8000", index) for index in (1, 2)}
    assert len(ports) == 2
    for index in (1, 2):
        assert project.get("scorer", "8000", "/readyz", index)
    for job in ("worker", "scorer"):
        assert poll_until(lambda job=job: project.metric(f'up{{job="{job}"}}') == 2, 60), job
    owned = 'fraudsim_slots_owned{job="worker"}'
    assert poll_until(lambda: sorted(project.values(owned)) == [4.0, 4.0], 60), project.values(owned)
    wait_for_decisions(project)
    project.up("--scale", "features=1", "--scale", "scorer=1")
    wait_for_decisions(project)


def test_stopped_and_started_again_no_step_is_done_twice_and_nothing_is_lost(project):
    before = project.state()
    project.compose("stop", timeout=400)
    project.up()
    assert project.state() == before
    logs = project.compose("logs", "--no-color", *ONE_SHOTS)
    for outcome in ("history kept", "model kept", "policy kept", "already started", "already primed"):
        assert outcome in logs
    wait_for_decisions(project)
    project.compose("stop", "producer", "labels", "scorer", "features", "archiver")
    sent, decided, distinct = project.in_archive()
    assert sent == decided == distinct > 10_000


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ("FRAUDSIM_SLOTS=many", "FRAUDSIM_SLOTS"),
        ("FRAUDSIM_DEADLINE_MS=-1", "FRAUDSIM_DEADLINE_MS"),
        ("FRAUDSIM_HTTP_DURABILITY=perhaps", "FRAUDSIM_HTTP_DURABILITY"),
    ],
)
def test_a_wrong_setting_in_env_is_one_line_from_the_service_that_reads_it(project, tmp_path, line, setting):
    (tmp_path / ".env").write_text(line + "\n")
    options = ["--project-directory", str(tmp_path), "--env-file", str(tmp_path / ".env")]
    result = project.run(*options, "run", "--rm", "--no-deps", "topics")
    assert result.returncode == 2
    (error,) = [text for text in result.stderr.splitlines() if text.startswith("error:")]
    assert setting in error
    assert line.split("=")[1] in error
    assert "Traceback" not in result.stderr
