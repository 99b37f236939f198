"""What the parts' metrics say: parsed as Prometheus does, and whoever does not answer is named."""

import asyncio
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dashboards.drift.line.week_metrics import show_week
from dashboards.drift.line.week_records import STATUSES, SignalRecord, WeekRecord
from dashboards.page.figures import part_figures
from dashboards.page.part_metrics import WANTED, PartMetrics, PartReading, handled_by, parse_samples
from fraudsim.addresses import RunningLine, RunningPart
from fraudsim.metrics import registry
from fraudsim.settings import Settings

JUNK = """process_cpu_seconds_total x
process_start_time_seconds 1.2.3
fraudsim_consumer_lag_records{} NaN
fraudsim_heartbeat_timestamp_seconds +Inf
fraudsim_model_role{role="emperor"} 1e999
fraudsim_model_role 1
"""
URLS = ("127.0.0.1:1", "redis://127.0.0.1:1/0", "http://127.0.0.1:3")


def metrics_page(started_s=1000.0, cpu_s=5.0, beat_s=None, sent=0):
    registry = CollectorRegistry()
    Gauge("process_start_time_seconds", "s", registry=registry).set(started_s)
    Gauge("process_cpu_seconds_total", "s", registry=registry).set(cpu_s)
    Gauge("fraudsim_heartbeat_timestamp_seconds", "s", registry=registry).set(beat_s or time.time())
    lag = Gauge("fraudsim_consumer_lag_records", "r", ["process", "topic"], registry=registry)
    lag.labels('a"\\b\n<script>', "t").set(7)
    counter = Counter("fraudsim_transactions", "t", ["stage", "outcome"], registry=registry)
    counter.labels("sent", "ok").inc(sent)
    Counter("fraudsim_other", "o", registry=registry).inc(3)
    return generate_latest(registry).decode()


def test_samples_are_those_of_prometheus_own_parser():
    text = metrics_page(sent=9)
    expected = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in WANTED
    }
    parsed = parse_samples(text)
    assert {(name, len(labels)): value for (name, labels), value in parsed.items()} == {
        (name, len(labels)): value for (name, labels), value in expected.items()
    }
    assert handled_by(parsed) == handled_by(expected) == 9


@contextmanager
def served(page):
    """A port that serves `page["text"]`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page["text"].encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_a_part_runs_hangs_dies_comes_back_or_was_never_there(tmp_path):
    page = {"text": metrics_page()}
    with served(page) as port:
        parts = {
            "worker": RunningPart("worker", port, 7),
            "scorer": RunningPart("scorer", 1, 8),  # nothing answers there
            "archiver": RunningPart("archiver", port, None),
            "producer": RunningPart("producer", port, None),
        }
        line = RunningLine(*URLS, parts)
        metrics = PartMetrics(Settings(_env_file=None), tmp_path)

        def read(name):
            from runner.line.parts import PARTS

            (part,) = (part for part in PARTS if part.name == name)
            return asyncio.run(metrics._read(part, line))

        assert (read("worker").status, read("worker").lag) == ("up", 7)
        assert (read("scorer").status, read("scorer").reason) == ("down", "does not answer")
        assert read("archiver").status == "down"
        assert read("producer").status == "ended", "it ends by itself"
        assert read("labels").status == "absent"
        page["text"] = metrics_page(started_s=2000.0)
        assert (read("worker").restarts, read("worker").cpu) == (1, 0.0)
        page["text"] = metrics_page(started_s=2000.0, beat_s=time.time() - 60)
        assert read("worker").status == "silent"
        for junk in ("no metrics \xff at all", JUNK):
            page["text"] = junk
            assert (read("worker").status, read("worker").lag) == ("up", None)


def test_in_compose_the_services_are_asked_by_name():
    metrics = PartMetrics(Settings(_env_file=None, metrics_port=9464), None)
    from runner.line.parts import PARTS

    urls, reason = asyncio.run(metrics._urls(PARTS[0], None))
    assert (urls, reason) == ([], f"no host {PARTS[0].service}")


def test_the_page_says_of_the_last_week_what_the_detector_s_metrics_say():
    def figure(**reading):
        return part_figures({"drift": PartReading("drift", **reading)})["weekly_drift"]

    assert part_figures({})["weekly_drift"] == (None, "up --drift compares weeks")
    assert figure(status="down") == (None, "down")
    assert figure(status="up", samples={}) == (None, "no week is over yet")
    signals = [SignalRecord(name="area of amount", against="line", distance=d, limit=0.1) for d in (0.2, 0.1)]
    texts = {}
    for status in STATUSES:
        show_week(
            WeekRecord(
                start_ms=0, end_ms=1_714_348_800_000, status=status, champion="a", payments=9, mature=None,
                reference_weeks=3, signals=signals if status == "alarm" else [],
            )
        )  # fmt: skip
        texts[status] = figure(status="up", samples=parse_samples(generate_latest(registry).decode("utf-8")))
    assert texts == {
        "reference": (0, "collects its reference, 3 of 8 weeks (week to 2024-04-29)"),
        "quiet": (0, "no drift (week to 2024-04-29)"),
        "alarm": (1, "1 signals drift (week to 2024-04-29)"),
        "promotion": (0, "another champion: a new reference begins (week to 2024-04-29)"),
    }
