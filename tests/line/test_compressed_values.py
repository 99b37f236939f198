"""Values that are small as the broker takes them and large when unpacked, on every topic that the line reads.

No process ends, each stays below the memory that compose gives it, and all valid records are decided.
"""

import asyncio
import os
import re
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from fraudsim.archive.log_files import read_log
from fraudsim.log.headers import OVERSIZED
from fraudsim.log.topics import CLOCK, DEAD_LETTERS, DECISIONS, LABELS, TRANSACTIONS, TRUTH
from runner.line.options import LineOptions
from runner.line.parts import PARTS
from testing.rigs.live_line import check_state_equals_log, run_line, wait_for_decisions

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
TOPICS = (TRANSACTIONS, LABELS, DECISIONS, CLOCK, TRUTH)
SERVICES = {part.name: part.service for part in PARTS} | {"kafka": "kafka", "redis": "redis"}


def memory_limits():
    """Bytes that compose gives each part."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    units = {"m": MIB, "g": 1024 * MIB}
    return {
        part: int(services[service]["mem_limit"][:-1]) * units[services[service]["mem_limit"][-1]]
        for part, service in SERVICES.items()
        if service in services
    }


def peak_memory(pid):
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


async def send_values(bootstrap, codec, value_bytes, topics):
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=codec,
        max_request_size=1 << 30,
        max_batch_size=1 << 30,
        request_timeout_ms=120_000,
    ) as producer:
        for topic in topics:
            await producer.send_and_wait(topic, bytes(value_bytes), key=b"c", partition=0)


SHORT = [("zstd", 64 * MIB, TOPICS), ("gzip", 64 * MIB, [TRANSACTIONS]), ("lz4", 64 * MIB, [TRANSACTIONS])]
LONG = [(codec, 500 * MIB, TOPICS) for codec in ("zstd", "gzip")]


@pytest.mark.parametrize(
    "sent", [pytest.param(SHORT, id="64 MiB"), pytest.param(LONG, id="500 MiB", marks=pytest.mark.long)]
)
def test_a_value_that_unpacks_to_much_ends_nothing(tmp_path, prepared, line_settings, sent):
    peaks = {}

    def send(line, observer):
        wait_for_decisions(line, observer, 50)
        pids = {
            name: line.supervisor.pid(name) for name in ("kafka", "worker", "scorer", "archiver", "labels")
        }
        for codec, value_bytes, topics in sent:
            asyncio.run(send_values(line.settings.kafka_bootstrap, codec, value_bytes, topics))
        line.wait_for("the producer", lambda: line.done("producer"), 60)
        wait_for_decisions(line, observer, line.planned())
        peaks.update({name: peak_memory(pid) for name, pid in pids.items() if os.path.exists(f"/proc/{pid}")})
        if sent is SHORT:
            return
        line.supervisor.stop("scorer")  # those that start now read the same log from further back
        line.supervisor.stop("worker")
        line.start_part("worker", "worker")
        line.start_part("scorer", "scorer")
        line.wait_for_ready("worker", "scorer")
        for name in ("worker", "scorer"):
            peaks[name] = max(peaks[name], peak_memory(line.supervisor.pid(name)))

    options = LineOptions(tmp_path / "run", seconds=6, rate=60, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, send, check_state_equals_log)
    print({name: peak // MIB for name, peak in peaks.items()})
    assert (summary["restarts"], summary["lost"], summary["duplicated"]) == ({}, 0, 0)
    assert summary["parity"]["mismatches"] == 0
    limits = memory_limits()
    assert {"kafka", "worker", "scorer", "archiver"} <= peaks.keys()
    assert {name: peak for name, peak in peaks.items() if peak >= limits[name]} == {}

    folder, counts = (
        tmp_path / "run",
        {topic: sum(topic in topics for *_, topics in sent) for topic in TOPICS},
    )
    for topic, count in counts.items():
        rows = read_log(folder, topic, ["headers", "error"]).to_pylist()
        left_out = [row for row in rows if OVERSIZED in {header["name"] for header in row["headers"]}]
        assert len(left_out) == count, topic
        assert all("unpack to more than" in row["error"] for row in left_out)
    letters = read_log(folder, DEAD_LETTERS, ["reason"])["reason"].to_pylist()
    assert len(letters) == summary["dead_lettered"] == counts[TRANSACTIONS] + counts[LABELS]
