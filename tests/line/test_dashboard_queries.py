"""Every rule and every query of a dashboard, evaluated by a real Prometheus that scrapes a real line."""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml
from kafka import KafkaProducer

from dashboards.prometheus_binaries import find
from fraudsim.errors import FraudsimError
from fraudsim.log import topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.line.line import Line
from runner.line.options import LineOptions
from runner.line.parts import PARTS
from runner.stack.ports import free_port
from runner.supervise.supervisor import Part
from testing.rigs.live_line import metrics_port, serves_metrics
from tests.dashboards.board_queries import FOLDER, NO_PAST, queries, recorded

pytestmark = pytest.mark.stack
JOBS = tuple(part.job for part in PARTS)


class PrometheusServer:
    """Prometheus that scrapes the processes of a line once a second."""

    def __init__(self, line, binary):
        self.url = f"http://127.0.0.1:{free_port()}"
        folder = line.run_dir / "prometheus"
        (folder / "rules").mkdir(parents=True)
        for path in (FOLDER / "prometheus" / "rules").glob("*.yml"):
            # A group's own interval is longer than this test.
            text = re.sub(r"^    interval: .*\n", "", path.read_text(), flags=re.M)
            (folder / "rules" / path.name).write_text(text)
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{metrics_port(line, job)}"]}]}
            for job in JOBS
        ]
        times = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": times, "rule_files": ["rules/*.yml"], "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        argv = [str(binary), f"--config.file={folder / 'prometheus.yml'}", "--log.level=warn"]
        argv += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={self.url[7:]}"]
        line.supervisor.start(Part("prometheus", argv, {}, restart=False, nice=10))
        line.wait_for("Prometheus", self.is_ready, 30)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).status == 200
        except OSError:
            return False

    def get(self, path, **arguments):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]

    def has_data(self, query):
        result = self.get("query", query=query)["result"]
        return any(not math.isnan(float(series["value"][1])) for series in result)


def provoke(line):
    """Cause a dead letter and a refused request; a sound line has neither."""
    producer = KafkaProducer(bootstrap_servers=line.settings.kafka_bootstrap)
    producer.send(topics.TRANSACTIONS, b"{").get(10)
    producer.close()
    url = f"http://127.0.0.1:{line.settings.http_port}/v1/score"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(url, b"{"), timeout=5)


def test_every_rule_and_every_panel_has_data_of_a_running_line(tmp_path, prepared):
    try:
        binary = find("prometheus", Settings(_env_file=None).cache_dir)
    except FraudsimError as error:
        pytest.skip(str(error))
    # Fast enough that labels come within seconds.
    options = LineOptions(tmp_path / "run", seconds=180, rate=300, cards=800, null_seconds=0, reuse=prepared)
    with Line(options, Settings(_env_file=None)) as line:
        line.prepare()
        line.start_line()
        line.start_part("watch", "watch", "--reference", "1000", "--wait-s", "2", nice=10)
        line.start_producer()
        for part in ("producer", "watch"):
            line.wait_for(
                f"the port of {part}",
                lambda part=part: serves_metrics(line, part),
            )
        server = PrometheusServer(line, binary)
        provoke(line)

        sources = {query: f"{board}, {panel}" for board, panel, query in queries("10s")}
        sources |= dict.fromkeys(recorded(), "a recording rule")
        missing = {query for query in sources if not any(name in query for name in NO_PAST)}

        def all_have_data():
            missing.difference_update([query for query in missing if server.has_data(query)])
            return not missing

        poll_until(all_have_data, 60, every_s=1.0)
        assert not missing, {query: sources[query] for query in missing}
        for query in sources.keys() - missing:
            server.get("query", query=query)  # parses, even where it has no data

        rules = [rule for group in server.get("rules")["groups"] for rule in group["rules"]]
        assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
        assert {rule["health"] for rule in rules} == {"ok"}
        firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
        assert firing <= {"DeadLetters", "ModelOld"}, "a sound line fires no others"
