"""One real scorer on a real Kafka and Redis, with a log that holds nothing yet."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition

from fraudsim.log.clock_log import next_segment, start_log
from fraudsim.log.events import decode_decision
from fraudsim.log.topics import DECISIONS, create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from runner.stack.ports import free_port
from runner.stack.stack import environment
from runner.stack.stack import stack as start_stack
from stream_features.store.prime import prime


@contextmanager
def live_scorer(folder, program=("-m", "fraudsim", "scorer"), sees_redis_at=str, **settings):
    """The settings of a scorer that runs; its output is `scorer.log` in `folder`.

    `sees_redis_at` makes of the URL of Redis the one that the scorer is given.
    """
    with start_stack(folder / "stack", Settings(_env_file=None)) as addresses:
        settings |= {"http_port": free_port()}
        used = Settings(
            _env_file=None,
            kafka_bootstrap=addresses.kafka_bootstrap,
            redis_url=addresses.redis_url,
            **settings,
        )
        create_topics(used)
        now_ms = int(time.time() * 1000)
        clock_log = start_log(used, now_ms, 1.0, "", "")
        prime(used, clock_log.clock.first, {}, "")
        clock_log.append(next_segment(clock_log.clock, 1.0, now_ms, now_ms))
        env = {
            **os.environ, **environment(addresses),
            **{variable(name): str(value) for name, value in settings.items()},
            variable("redis_url"): sees_redis_at(addresses.redis_url),
        }  # fmt: skip
        with (folder / "scorer.log").open("wb") as out:
            scorer = subprocess.Popen(
                [sys.executable, *program], env=env, stdout=out, stderr=subprocess.STDOUT
            )
            try:
                assert poll_until(lambda: scorer.poll() is not None or is_ready(used), 180)
                yield used
            finally:
                scorer.terminate()
                assert scorer.wait(60) == 0


def ask(settings, path):
    """What a GET answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.http_port}{path}", timeout=20) as reply:
        return json.load(reply)


def is_ready(settings):
    """Whether it decides, be it without state."""
    try:
        return ask(settings, "/readyz")["status"] in ("ready", "degraded")
    except OSError:
        return False


def said_by(folder, event):
    """The entries of the scorer's log of that name."""
    lines = (folder / "scorer.log").read_text().splitlines()
    return [entry for entry in map(json.loads, (line for line in lines if line[:1] == "{"))
            if entry["event"] == event]  # fmt: skip


def decisions_in_log(settings, count):
    """All of `decisions`, once there are so many, or 20 s have passed."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_bootstrap)
    consumer.assign([TopicPartition(DECISIONS, p) for p in range(settings.partitions)])
    consumer.seek_to_beginning()
    found = []

    def enough():
        for records in consumer.poll(timeout_ms=200).values():
            found.extend(decode_decision(record.value) for record in records)
        return len(found) >= count

    poll_until(enough, 20)
    consumer.close()
    return found
