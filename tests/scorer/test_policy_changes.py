"""One real scorer on a real Kafka and Redis: its policy changed twenty times, spoilt, rolled back."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request

import msgspec
import numpy as np
import pytest
from http_bench import MANIFEST
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from fraudsim.clock_log import next_segment, start_log
from fraudsim.events import Transaction, decode_decision, encoder
from fraudsim.settings import Settings
from fraudsim.topics import DECISIONS, TRANSACTIONS, create_topics
from fraudsim.waiting import poll_until
from model.artefact import sample_scores, sha256_of, write_model
from model.fit import fit_trees
from model.manifest import REQUEST_NAMES, Sample, feature_hash
from model.train import request_only
from runner.ports import free_port
from runner.stack import environment
from runner.stack import stack as start_stack
from scorer.policy_file import SHIPPED, load_policy
from scorer.policy_store import put, rollback
from stream_features.catalogue import HASH, NAMES
from stream_features.prime import prime
from stream_features.vector import SIZE, as_list

pytestmark = pytest.mark.stack
CHANGES = 20
HTTP_RATE, STREAM_RATE = 100, 200


def make_model(folder):
    """Small trees that find the larger amounts risky."""
    rng = np.random.default_rng(1)
    features = rng.lognormal(5, 2, (2_000, SIZE)).astype(np.float32)
    fraud = rng.random(2_000) < 0.05 + 0.5 * (features[:, 0] > 1_000)
    replaced = {}
    for name, seen in (("model", features), ("fallback", request_only(features))):
        ubj = fit_trees(seen, fraud, 1)
        sample = Sample(rows=[as_list(row) for row in seen[:3]], scores=sample_scores(ubj, seen[:3]))
        replaced[name] = (ubj, {"sample": sample, "model_sha256": sha256_of(ubj)})
    (ubj, own), (fallback_ubj, fallbacks) = replaced["model"], replaced["fallback"]
    manifest = msgspec.structs.replace(
        MANIFEST, **own, label_gap_days=0.0,
        features=list(NAMES), catalogue_hash=HASH, feature_hash=feature_hash(list(NAMES)),
        fallback=msgspec.structs.replace(MANIFEST.fallback, **fallbacks, features=list(REQUEST_NAMES)),
    )  # fmt: skip
    write_model(folder, ubj, fallback_ubj, manifest)


def make_variants(folder):
    """Twenty policies: a cost in each, the rules in every other."""
    words = json.loads((SHIPPED / "policy.json").read_text())
    made = []
    for number in range(CHANGES):
        new = folder / f"v{number}"
        put(SHIPPED, new)
        costs = words["act_by"]["costs"] | {"review_cost_cents": 100 + number}
        changed = words | {"name": f"v{number}", "act_by": words["act_by"] | {"costs": costs}}
        (new / "policy.json").write_text(json.dumps(changed))
        if number % 2:
            for name, quote in (("velocity.json", "'"), ("velocity.examples.json", '"')):
                path = new / "rules" / name
                path.write_text(path.read_text().replace(f"{quote}step_up{quote}", f"{quote}review{quote}"))
        made.append(new)
    return made


class Traffic(threading.Thread):
    """Calls `send` with 0, 1, 2… at a steady rate until told to end; what goes wrong is kept."""

    def __init__(self, rate, send):
        super().__init__(daemon=True)
        self.rate, self.send = rate, send
        self.sent = 0
        self.failure = None
        self.over = threading.Event()

    def run(self):
        started = time.monotonic()
        try:
            while not self.over.wait(max(0.0, started + self.sent / self.rate - time.monotonic())):
                self.send(self.sent)
                self.sent += 1
        except Exception as error:
            self.failure = error

    def end(self):
        self.over.set()
        self.join()
        assert self.failure is None, self.failure


@pytest.fixture
def line(tmp_path):
    """Settings of a log that has been started and primed with nothing."""
    with start_stack(tmp_path / "stack", Settings(_env_file=None)) as addresses:
        settings = Settings(
            _env_file=None, kafka_bootstrap=addresses.kafka_bootstrap, redis_url=addresses.redis_url,
            http_port=free_port(), model_dir=tmp_path / "model", policy=tmp_path / "policy",
        )  # fmt: skip
        create_topics(settings)
        now_ms = int(time.time() * 1000)
        clock_log = start_log(settings, now_ms, 1.0, "", "")
        prime(settings, clock_log.clock.first, {}, "")
        clock_log.append(next_segment(clock_log.clock, 1.0, now_ms, now_ms))
        make_model(settings.model_dir)
        put(SHIPPED, settings.policy)
        env = {
            **os.environ, **environment(addresses), "FRAUDSIM_HTTP_PORT": str(settings.http_port),
            "FRAUDSIM_MODEL_DIR": str(settings.model_dir), "FRAUDSIM_POLICY": str(settings.policy),
            "FRAUDSIM_DEADLINE_MS": "1000",
        }  # fmt: skip
        with (tmp_path / "scorer.log").open("wb") as out:
            scorer = subprocess.Popen(
                [sys.executable, "-m", "fraudsim", "scorer"], env=env, stdout=out, stderr=subprocess.STDOUT
            )
            try:
                assert poll_until(lambda: scorer.poll() is not None or is_ready(settings), 60)
                yield settings
            finally:
                scorer.terminate()
                assert scorer.wait(30) == 0


def ask(settings, path, body=None):
    url = f"http://127.0.0.1:{settings.http_port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as reply:
        return json.load(reply)


def is_ready(settings):
    try:
        return ask(settings, "/readyz")["status"] == "ready"
    except OSError:
        return False


def decisions_in_log(settings, count):
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


def test_twenty_changes_lose_nothing_and_every_decision_bears_a_policy_that_was_active(line, tmp_path):
    news = make_variants(tmp_path)
    versions = {load_policy(folder).version for folder in (SHIPPED, *news)}
    assert len(versions) == CHANGES + 1
    replies, producer = [], KafkaProducer(bootstrap_servers=line.kafka_bootstrap, acks="all")

    def over_http(n):
        body = encoder.encode({"tx_id": f"http-{n}", "card_id": f"c{n % 40}", "amount_cents": 100 * n})
        replies.append(ask(line, "/v1/score", body))

    def over_kafka(n):
        tx = Transaction(
            tx_id=f"log-{n}", ts=int(time.time() * 1000), card_id=f"c{n % 40}", amount_cents=100 * n
        )
        key = tx.card_id.encode()
        producer.send(TRANSACTIONS, encoder.encode(tx), key, headers=[("segment", b"1")])

    def seconds_until(version):
        started = time.monotonic()
        bears = lambda: replies[-1]["policy_version"] == version or http.failure  # noqa: E731
        assert poll_until(bears, 20, every_s=0.005)
        return time.monotonic() - started

    http, stream = Traffic(HTTP_RATE, over_http), Traffic(STREAM_RATE, over_kafka)
    http.start()
    stream.start()
    for new in news:
        put(new, line.policy)
        time.sleep(0.12)
    before, last = (load_policy(new).version for new in news[-2:])
    seconds_until(last)
    (line.policy / "policy.json").write_text('{"name": "spoilt"')
    time.sleep(0.6)
    assert replies[-1]["policy_version"] == last
    (line.policy / "policy.json").write_bytes((news[-1] / "policy.json").read_bytes())
    back = []
    for version in (before, last, before):
        assert rollback(line.policy).version == version
        back.append(seconds_until(version))
    http.end()
    stream.end()
    producer.flush()
    found = decisions_in_log(line, http.sent + stream.sent)
    expected = {f"http-{n}" for n in range(http.sent)} | {f"log-{n}" for n in range(stream.sent)}
    assert sorted(decision.tx_id for decision in found) == sorted(expected)
    served = {decision.policy_version for decision in found}
    assert served <= versions
    assert len(served) > CHANGES / 4
    assert {decision.via for decision in found} == {"http", "stream"}
    assert len({decision.action for decision in found}) > 1
    log = [json.loads(text) for text in (tmp_path / "scorer.log").read_text().splitlines() if text[0] == "{"]
    refused = [entry for entry in log if entry["event"] == "policy_refused"]
    assert [("policy.json" in r["reason"], "\n" in r["reason"]) for r in refused] == [(True, False)]
    print(f"back in {', '.join(f'{s:.2f}' for s in back)} s; {len(served)} versions, {len(found)} decisions")
    assert min(back) < 1
