"""The report of `bench engines` and its tables; the measurement itself, made short, needs Spark."""

import json

import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from load_tests.benches.engines import bench
from load_tests.benches.engines.bench import EnginesPlan, EnginesReport
from load_tests.benches.engines.contestants import FOLDING, FRESH
from load_tests.benches.engines.spark_tasks import TASKS
from load_tests.benches.engines.tables import tables
from load_tests.cli import app
from tests.stream_features.offline.spark_mark import needs_spark

ALL = [c.name for c in (*FOLDING, *FRESH)] + list(TASKS)


def folded(name, value=1_000, cpu_us=50.0):
    return {
        "name": name, "value": value, "unit": "transactions/s", "cpu_us": cpu_us, "redis_us": 10.0,
        "kafka_us": 4.0,
    }  # fmt: skip


def watched(name):
    return {
        "name": name, "value": 1_200, "unit": "ms, p50 age of the state", "p99_ms": 2_300, "max_ms": 2_500,
        "cpu_us": 900.0, "memory_mib": 1_024,
    }  # fmt: skip


def test_an_interrupted_bench_goes_on_and_a_whole_one_begins_anew(tmp_path):
    file, plan = tmp_path / "engines.json", EnginesPlan(only=("faust",))
    report = EnginesReport(file, plan, print)
    assert report.missing == ["faust, 1 worker", "faust, 2 workers", "faust, 4 workers", "faust"]
    report.add(folded("faust, 1 worker"))
    report.add(folded("faust, 4 workers", 1_500))
    assert json.loads(file.read_text())["complete"] is False

    lines = []
    report = EnginesReport(file, plan, lines.append)
    assert lines == ["faust, 1 worker: kept", "faust, 4 workers: kept"]
    assert report.missing == ["faust, 2 workers", "faust"]
    report.add(folded("faust, 2 workers", 1_300))
    report.add(watched("faust"))
    written = json.loads(file.read_text())
    assert (written["complete"], written["runs"]) == (True, 2)
    assert written["ratios"] == {"faust, 1 worker": 1, "faust, 4 workers": 1.5, "faust, 2 workers": 1.3}
    assert EnginesReport(file, plan, print).missing == [r for r in ALL if r.startswith("faust")]


@pytest.mark.parametrize("before", ["", "[]", "{}", '{"complete": false}'])
def test_another_plan_or_another_file_is_not_gone_on_with(tmp_path, before):
    file, plan = tmp_path / "engines.json", EnginesPlan(only=("faust",))
    EnginesReport(file, plan, print).add(folded("faust, 1 worker"))
    assert len(EnginesReport(file, EnginesPlan(only=("faust",), rate=100), print).missing) == 4
    file.write_text(before)
    assert len(EnginesReport(file, plan, print).missing) == 4


def test_a_contestant_that_is_not_there_is_said(tmp_path):
    with pytest.raises(FraudsimError, match=r"--only flink: give a part of: faust, 1 worker; "):
        EnginesReport(tmp_path / "engines.json", EnginesPlan(only=("flink",)), print)


def test_only_what_is_missing_is_measured(tmp_path, monkeypatch):
    """The servers of the first part are started for the sake of the tasks alone."""
    asked = []

    def fold_all(contestants, plan, with_tasks):
        asked.append(([c.name for c in contestants], with_tasks))
        for name in TASKS if with_tasks else ():
            yield {"name": name, "value": 1.0, "unit": "µs of CPU a transaction"}

    monkeypatch.setattr(bench, "_fold_all", fold_all)
    monkeypatch.setattr(bench, "_watch_all", lambda contestants, plan: asked.append(contestants) or ())
    bench.bench_engines(tmp_path / "engines.json", EnginesPlan(only=("tasks",)), print)
    assert asked == [([], True)]


def test_the_tables_have_what_the_report_has_and_the_arithmetic_follows_from_it():
    costs = {"faust, 1 worker": 35.0, "faust, 2 workers": 55.0, "faust, 4 workers": 95.0}
    results = [folded(name, cpu_us=cost) for name, cost in costs.items()]
    results += [folded("spark, 2 executors", cpu_us=85.0), watched("spark, 5 s")]
    results += [{"name": TASKS[0], "value": 20.0}, {"name": TASKS[1], "value": 5.0}]
    text = tables({"results": results})
    assert "| Faust, 2 workers | 1,000 | 55.0 | 10.0 | 4.0 |" in text
    assert "| Spark's tasks alone: fold |  | 5.0 |  |  |" in text
    assert "| Spark, 5 s | 1,200 | 2,300 | 2,500 | 900.0 | 1,024 |" in text
    assert "Spark, 1 executor" not in text
    assert "adds 20.0 µs a transaction; 15.0 µs are shared" in text
    assert "28,571/s, 36,364/s, 42,105/s by 1, 2, 4; never more than 50,000/s" in text
    assert "acceptance ends at 50,000/s for each Kafka partition, folding at 200,000/s" in text
    assert "Spark itself adds, in µs a transaction: 60 (2 executors)." in text
    assert tables({"results": []}) == ""


@pytest.mark.stack
@pytest.mark.long
@needs_spark
def test_the_bench_made_short_runs_to_its_end(tmp_path):
    pytest.importorskip("confluent_kafka", reason="needs the extra load")
    file = tmp_path / "engines.json"
    words = ["--events", "10000", "--rate", "50", "--seconds", "2"]
    only = [w for name in ("2 workers", "1 executor", "alone", "0.5 s") for w in ("--only", name)]
    result = CliRunner().invoke(app, ["bench", "engines", "--json", str(file), *words, *only])
    assert result.exit_code == 0, (result.output, result.exception)
    report = json.loads(file.read_text())
    assert report["complete"] is True
    figures = {r["name"]: r for r in report["results"]}
    assert set(figures) == {"faust, 2 workers", "spark, 1 executor", "spark, 0.5 s", *TASKS}
    assert all(r["value"] > 0 and r["measured"] > 0 for r in figures.values()), figures
    assert all(r["cpu_us"] > 0 for name, r in figures.items() if name not in TASKS), figures
    assert "| Spark, 1 executor |" in result.output
