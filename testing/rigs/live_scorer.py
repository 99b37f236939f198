"""One real scorer on a real Kafka and Redis, with an empty log."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from fraudsim.addresses import http_url, open_direct
from fraudsim.log.clock_log import next_segment, start_log
from fraudsim.log.consumer import read_to_end
from fraudsim.log.events import Decision, decode_decision
from fraudsim.log.topics import DECISIONS, create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from runner.stack.ports import free_port
from runner.stack.stack import environment
from runner.stack.stack import stack as start_stack
from stream_features.store.prime import prime


@contextmanager
def live_scorer(
    folder: Path,
    program: Sequence[str] = ("-m", "fraudsim", "scorer"),
    scorer_redis_url: Callable[[str], str] = str,
    **settings_fields: Any,
) -> Iterator[Settings]:
    """The settings of a running scorer; its output goes to `scorer.log` in `folder`.

    `scorer_redis_url` maps the URL of Redis to the one that the scorer is given.
    """
    with start_stack(folder / "stack", Settings(_env_file=None)) as addresses:
        fields: dict[str, Any] = {**settings_fields, "http_port": free_port()}
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=addresses.kafka_bootstrap,
            redis_url=addresses.redis_url,
            **fields,
        )
        create_topics(settings)
        now_ms = int(time.time() * 1000)
        clock_log = start_log(settings, now_ms, 1.0, "", "")
        prime(settings, clock_log.clock.first, {}, "")
        clock_log.append(next_segment(clock_log.clock, 1.0, now_ms, now_ms))
        env = {
            **os.environ, **environment(addresses),
            **{variable(name): str(value) for name, value in fields.items()},
            variable("redis_url"): scorer_redis_url(addresses.redis_url),
        }  # fmt: skip
        with (folder / "scorer.log").open("wb") as out:
            scorer = subprocess.Popen(
                [sys.executable, *program], env=env, stdout=out, stderr=subprocess.STDOUT
            )
            try:
                assert poll_until(lambda: scorer.poll() is not None or is_ready(settings), 180)
                yield settings
            finally:
                scorer.terminate()
                assert scorer.wait(60) == 0


def ask(settings: Settings, path: str) -> Any:
    """The JSON that a GET returns."""
    with open_direct(f"{http_url(settings.http_host, settings.http_port)}{path}", timeout_s=20) as reply:
        return json.load(reply)


def is_ready(settings: Settings) -> bool:
    """Whether the scorer decides, with or without state."""
    try:
        return ask(settings, "/readyz")["status"] in ("ready", "degraded")
    except OSError:
        return False


def log_entries(folder: Path, event: str) -> list[dict[str, Any]]:
    """The entries of `scorer.log` with this event word."""
    lines = (folder / "scorer.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line[:1] == "{"]
    return [entry for entry in entries if entry["event"] == event]


def decisions_in_log(settings: Settings, count: int) -> list[Decision]:
    """All of `decisions`, once there are `count`, or after 20 s."""
    partitions = [TopicPartition(DECISIONS, p) for p in range(settings.partitions)]
    decisions: list[Decision] = []

    def complete() -> bool:
        decisions[:] = [
            decode_decision(record.value)
            for partition in partitions
            for record in read_to_end(settings.kafka_bootstrap, partition)[0]
        ]
        return len(decisions) >= count

    poll_until(complete, 20)
    return decisions
