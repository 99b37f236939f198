"""What processes take, measured on one that works and one that sleeps."""

import subprocess
import sys
import time

from runner.record.costs import CostMeter

WORK = """
import time
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
print(1, flush=True)
time.sleep(60)
"""


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_work_is_counted_where_it_is_done_and_over_a_restart() -> None:
    busy, idle = start(WORK), start("import time; time.sleep(60)")
    pids: dict[str, int | None] = {"busy": busy.pid, "idle": idle.pid, "away": None}
    again = None
    try:
        meter = CostMeter(lambda: pids)
        assert busy.stdout is not None
        busy.stdout.readline()
        meter.sample(0.0)
        costs = meter.costs()
        assert 0.2 < costs["busy"].cpu_s < 2
        assert costs["idle"].cpu_s < 0.2
        assert "away" not in costs
        assert costs["busy"].memory_mb > 3
        again = start(WORK)
        pids["busy"] = again.pid
        assert again.stdout is not None
        again.stdout.readline()
        meter.sample(0.0)
        assert meter.costs()["busy"].cpu_s > costs["busy"].cpu_s + 0.4
        report = meter.as_json(100)
        assert report["processes"]["busy"]["cpu_us"] == round(1e4 * meter.costs()["busy"].cpu_s, 1)
    finally:
        for process in (busy, idle, *([again] if again else [])):
            process.kill()
            process.wait()


def test_a_sample_that_comes_too_soon_is_not_taken() -> None:
    asked = []
    meter = CostMeter(lambda: asked.append(time.monotonic()) or {})
    meter.sample(60.0)
    assert len(asked) == 1
