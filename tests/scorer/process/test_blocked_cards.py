"""Real scorers block cards by the labels in the log: all of them alike, after a kill as before."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from kafka import KafkaProducer
from redis import Redis

from fraudsim.log import headers as h
from fraudsim.log.events import Block, Label, Transaction, encoder
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.polling import poll_until
from fraudsim.settings import variable
from producers.labels.consequences import Consequences
from runner.stack.ports import free_port
from stream_features.store.reported_labels import KEY
from testing.rigs.live_scorer import decisions_in_log, is_ready, live_scorer
from testing.samples.small_models import make_models

pytestmark = pytest.mark.stack
HOUR = 3_600_000


def label(card_id, tx_id, known_at, is_fraud=True, source="customer"):
    return Label(
        tx_id=tx_id, card_id=card_id, ts=known_at - 1, amount_cents=900, is_fraud=is_fraud, source=source,
        known_at=known_at,
    )  # fmt: skip


def score(settings, tx_id, card_id):
    """The decision that HTTP gives."""
    body = {"tx_id": tx_id, "card_id": card_id, "amount_cents": 900, "channel": "ecommerce"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{settings.http_port}/v1/score", json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


def send(settings, topic, event):
    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all")
    try:
        headers = [(h.SEGMENT, h.encode_int(1))]
        producer.send(topic, key=event.card_id.encode(), value=encoder.encode(event), headers=headers).get(30)
    finally:
        producer.close()


def start_scorer(settings, model, folder):
    env = {
        **os.environ,
        variable("kafka_bootstrap"): settings.kafka_bootstrap, variable("redis_url"): settings.redis_url,
        variable("http_port"): str(settings.http_port), variable("scorer_name"): settings.scorer_name,
        variable("model_dir"): str(model),
    }  # fmt: skip
    with (folder / f"{settings.scorer_name}.log").open("ab") as out:
        scorer = subprocess.Popen(
            [sys.executable, "-m", "fraudsim", "scorer"], env=env, stdout=out, stderr=out
        )
    assert poll_until(lambda: scorer.poll() is not None or is_ready(settings), 180)
    return scorer


def test_every_scorer_blocks_a_reported_card_over_http_and_stream_also_after_a_kill(tmp_path):
    (model,) = make_models(tmp_path, 1)
    with live_scorer(tmp_path, model_dir=model, deadline_ms=1000) as line:
        assert score(line, "before", "reported")["rule_hits"] == []
        known_at = int(time.time() * 1000)
        send(line, LABELS, label("reported", "stolen", known_at))

        numbers = iter(range(1000))

        def blocked(settings, card_id="reported"):
            return score(settings, f"ask-{settings.scorer_name}-{next(numbers)}", card_id)["block"]

        assert poll_until(lambda: blocked(line) is not None, 20)
        until_ms = known_at + Consequences().block_ms
        block = Block(tx_id="stolen", source="customer", from_ms=known_at, until_ms=until_ms)
        declined = score(line, "after", "reported")
        assert (declined["action"], declined["rule_hits"]) == ("decline", ["card_blocked"])
        assert declined["block"] == json.loads(encoder.encode(block))
        assert blocked(line, "another") is None
        now_ms = int(time.time() * 1000)
        send(line, TRANSACTIONS, Transaction(tx_id="by-log", ts=now_ms, card_id="reported", amount_cents=5))
        assert poll_until(lambda: "by-log" in {d.tx_id for d in decisions_in_log(line, 1)}, 20)
        in_log = {d.tx_id: d for d in decisions_in_log(line, 1)}
        assert in_log["by-log"].block == in_log["after"].block == block
        assert max(in_log["by-log"].prefix.labels_to) == 0

        # Another scorer, which also finds what was reported at the end of a history.
        of_history = [label("known", "before-the-log", known_at - HOUR)]
        Redis.from_url(line.redis_url).set(KEY, encoder.encode(of_history))
        second = line.model_copy(update={"http_port": free_port(), "scorer_name": "scorer-1"})
        process = start_scorer(second, model, tmp_path)
        try:
            assert score(second, "again", "reported")["block"] == declined["block"]
            assert blocked(second, "known")["tx_id"] == "before-the-log"
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

        cleared_at = int(time.time() * 1000)
        send(line, LABELS, label("reported", "stolen", cleared_at, is_fraud=False, source="analyst"))
        assert poll_until(lambda: blocked(line) is None, 20)
