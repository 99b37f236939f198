"""The line's waits: for its parts, and for the last decisions."""

import threading
import time

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.sender.shard_coordinator import STOP_S
from runner.line.line import Line
from runner.line.options import LineOptions
from runner.line.run_end import await_last_decisions
from runner.record.observer import RunTally
from runner.supervise.supervisor import Part


@pytest.fixture
def line(tmp_path):
    with Line(LineOptions(tmp_path), Settings(_env_file=None)) as line:
        yield line


def test_what_holds_ends_the_wait(line):
    answers = iter([False, False, True])
    line.wait_for("the third answer", lambda: next(answers), 10)


def test_what_never_holds_is_named_when_time_runs_out(line):
    with pytest.raises(FraudsimError, match=r"waited 0\.1 s for a miracle; see .*logs"):
        line.wait_for("a miracle", lambda: False, 0.1)


def test_a_part_that_was_given_up_ends_the_wait_with_its_reason(line):
    line.supervisor.start(Part("short", ["sh", "-c", "exit 3"], {}, restart=False))
    with pytest.raises(FraudsimError, match="short ended with exit code 3"):
        line.wait_for("a miracle", lambda: False, 10)


def test_the_producer_is_told_of_its_shards_and_the_null_pipeline_too(tmp_path, monkeypatch):
    with Line(LineOptions(tmp_path, shards=3), Settings(_env_file=None)) as line:
        started = []
        monkeypatch.setattr(line.supervisor, "start", started.append)
        line.start_producer()
        (producer,) = started
        assert producer.argv[producer.argv.index("--shards") :][:2] == ["--shards", "3"]
        assert "--shards" in line.run.stream("produce", "null-producer.json", 5.0, "--null")
        assert producer.stop_timeout_s > STOP_S


def test_the_end_is_waited_for_until_the_stream_has_decided_all_though_http_decides_too():
    tally = RunTally(decisions=500, stream_decisions=90)

    def decide_slowly():
        for _ in range(10):
            time.sleep(0.02)
            tally.decisions += 1
            tally.stream_decisions += 1

    deciding = threading.Thread(target=decide_slowly)
    deciding.start()
    await_last_decisions(tally, 100, quiet_s=10)
    assert tally.stream_decisions == 100
    deciding.join()


def test_a_quiet_stream_ends_the_wait_though_http_goes_on():
    tally = RunTally(stream_decisions=90)
    stop = threading.Event()

    def http_goes_on():
        while not stop.wait(0.01):
            tally.decisions += 1

    deciding = threading.Thread(target=http_goes_on)
    deciding.start()
    await_last_decisions(tally, 100, quiet_s=0.2)
    stop.set()
    deciding.join()
    assert tally.decisions > 0
