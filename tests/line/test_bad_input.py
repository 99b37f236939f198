"""Bad and odd input, by Kafka and by HTTP: named, counted, kept; the line goes on, nothing valid is lost."""

import asyncio
import json
import urllib.error

import pytest
from kafka import KafkaProducer

from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS
from model.registry.aliases import promote
from model.registry.versions import add_version, change_aliases, folder_of
from producers.sender.log_ends import find_present, partitions_of
from runner.line.line import LineOptions
from stream_features.catalogue.features import NAMES
from testing.rigs.live_line import ask, good_body, run_line, state_equals_the_log, wait_until_seen
from testing.samples.odd_records import (
    check_kept,
    check_markers_were_passed,
    send_in_transactions,
    send_unreadable_headers,
)
from testing.samples.other_model import another_version

pytestmark = pytest.mark.stack
BAD = 200
BY_HTTP = 29


def bad_values(now_ms):
    """(field that must be named, value as bytes, headers or None for the usual ones)."""

    def as_json(**changes):
        return json.dumps(good_body(now_ms, **changes)).encode()

    far = 400 * 86_400_000
    return [
        ("value", b"", None),
        ("value", b"{", None),
        ("value", b"not json at all", None),
        ("value", b"\xff\xfe\x00", None),
        ("value", b"[" * 20_000, None),
        ("value", b"[]", None),
        ("value", b"null", None),
        ("value", None, None),
        ("value", as_json(country="DE") + b" " * 70_000, None),
        ("tx_id", as_json(tx_id=...), None),
        ("tx_id", as_json(tx_id=""), None),
        ("tx_id", as_json(tx_id="x" * 65), None),
        ("tx_id", as_json(tx_id=7), None),
        ("card_id", as_json(card_id=...), None),
        ("card_id", as_json(card_id=None), None),
        ("card_id", as_json(card_id="a b"), None),
        ("amount_cents", as_json(amount_cents=...), None),
        ("amount_cents", as_json(amount_cents=-1), None),
        ("amount_cents", as_json(amount_cents=10**12), None),
        ("amount_cents", as_json(amount_cents=10**30), None),
        ("amount_cents", as_json(amount_cents="100"), None),
        ("amount_cents", as_json(amount_cents=1.5), None),
        ("ts", as_json(ts="yesterday"), None),
        ("ts", as_json(ts=-1), None),
        ("ts", as_json(ts=now_ms - far), None),
        ("ts", as_json(ts=now_ms + far), None),
        ("schema_version", as_json(schema_version=2), None),
        ("schema_version", as_json(schema_version="1"), None),
        ("lat", as_json(lat=91.0), None),
        ("mcc", as_json(mcc=123_456), None),
        ("channel", as_json(channel="carrier pigeon"), None),
        ("currency", as_json(currency="eur"), None),
        ("segment", as_json(), []),
        ("segment", as_json(), [("segment", b"99")]),
        ("segment", as_json(), [("segment", b"minus one")]),
    ]


def send_bad_records(line, now_ms):
    producer = KafkaProducer(bootstrap_servers=line.settings.kafka_bootstrap, acks="all")
    values = bad_values(now_ms)
    for i in range(BAD):
        _field, value, headers = values[i % len(values)]
        headers = [("segment", b"1")] if headers is None else headers
        producer.send(TRANSACTIONS, value=value, key=f"bad-{i}".encode(), headers=headers)
        if i % 20 == 0:
            producer.flush()
    producer.flush()
    producer.close()
    return values


def refuse_bad_requests(line, now_ms):
    for field, value, headers in bad_values(now_ms):
        if headers is not None or value is None:
            continue
        status, reply = ask(line, value)
        if len(value) > line.settings.http_max_body_bytes:
            assert status == 413
        elif field == "ts" and b"-1" in value:
            assert status == 422
        else:
            assert status in (400, 422), (field, value[:80], reply)
            assert reply["field"] == field, (value[:80], reply)
    try:
        status, reply = ask(line, b"x" * 5_000_000)
    except (urllib.error.URLError, ConnectionError):  # the server may hang up before it has read 5 MB
        status = 413
    assert status == 413
    assert ask(line, None, "/v1/decisions/never-seen")[0] == 404


def decide_by_http(line):
    """The contract of one tx_id: decided once, repeated as it was, another body refused."""
    body = {"tx_id": "http-1", "card_id": "c-http", "merchant_id": "m-http", "amount_cents": 4_200}
    status, first = ask(line, body)
    assert status == 200
    assert first["via"] == "http"
    assert ask(line, body) == (200, first)
    assert ask(line, None, "/v1/decisions/http-1") == (200, first)
    status, reply = ask(line, {**body, "amount_cents": 4_300})
    assert (status, reply["field"]) == (409, "tx_id")
    for n in range(2, BY_HTTP + 1):  # a burst: each sees all before it, whatever the log gave back
        status, decision = ask(line, {**body, "tx_id": f"http-{n}", "ts": first["ts"] + n})
        assert status == 200
        assert decision["features"][NAMES.index("card_count_1m")] == n, decision["prefix"]


def refuse_a_wrong_model(line):
    """A corrupt artefact is refused and the served one stays; a mended one is taken."""
    registry = line.run_dir / "models"
    served = ask(line, None, "/v1/model")[1]["version"]
    other = add_version(another_version(line.run_dir / "model", line.run_dir / "another"), registry)[
        0
    ].version
    trees = folder_of(registry, other) / "model.ubj"
    whole = trees.read_bytes()
    trees.write_bytes(whole[: len(whole) // 2])
    change_aliases(registry, lambda aliases: promote(aliases, other))
    log = line.supervisor.log("scorer")
    line.wait_for("the refusal", lambda: "model_refused" in log.read_text(), 20)
    assert ask(line, None, "/v1/model")[1]["version"] == served
    trees.write_bytes(whole)
    line.wait_for("the mended model", lambda: "model_served" in log.read_text(), 20)
    assert ask(line, None, "/v1/model")[1]["version"] == other


def test_bad_input_is_set_aside_markers_are_passed_and_nothing_valid_is_lost(
    tmp_path, prepared, line_settings
):
    found = {}

    def trouble(line, observer):
        wait_until_seen(line, observer, 200)
        found["good"], found["odd"] = send_unreadable_headers(line)
        now_ms = ask(line, None, "/v1/clock")[1]["now_ms"]
        found["values"] = send_bad_records(line, now_ms)
        refuse_bad_requests(line, now_ms)
        decide_by_http(line)
        refuse_a_wrong_model(line)
        there = find_present(line.settings, partitions_of(line.settings, [TRANSACTIONS]), "odd")
        found["present"] = there[TRANSACTIONS]
        sent = asyncio.run(send_in_transactions(line, "amid", ["commit", "abort", "commit"]))
        line.wait_for("the producer", lambda: line.done("producer"), 60)
        # The log ends with markers, for whoever reads on and for a scorer and a worker that start now.
        sent += asyncio.run(send_in_transactions(line, "last", ["commit", "commit"]))
        wait_until_seen(line, observer, line.planned() + len(found["good"]) + len(sent) + BY_HTTP)
        line.supervisor.stop("scorer")
        line.supervisor.stop("worker")
        line.start_part("worker", "worker")
        line.start_part("scorer", "scorer")
        line.wait_for("the scorer to be ready", line._scorer_ready)
        line.wait_for("the feature worker to fold", line._worker_folds)
        assert ask(line, {"tx_id": "http", "card_id": "c-http", "amount_cents": 1})[0] == 200
        found["sent"] = sent

    options = LineOptions(tmp_path / "run", seconds=10, rate=150, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, trouble, state_equals_the_log)
    # What came from no source of the line's own counts as sent where it bears an ordinal.
    assert summary["decided"] == summary["sent"] + len(found["good"])
    assert (summary["duplicated"], summary["restarts"]) == (0, {})
    assert summary["parity"]["mismatches"] == 0
    run = tmp_path / "run"
    decisions = read_log(run, DECISIONS, ["tx_id", "via"])
    decided = decisions["tx_id"].to_pylist()
    assert len(decided) == len(set(decided)) == summary["parity"]["vectors"]
    assert set(found["good"]) | set(found["sent"]) <= set(decided)
    assert not set(decided) & set(found["odd"])
    assert decisions["via"].to_pylist().count("http") == BY_HTTP + 1
    assert len(found["present"]) == len(found["good"])
    check_kept(run, found["odd"])
    check_markers_were_passed(run)
    assert summary["dead_lettered"] == BAD + len(found["odd"])
    letters = read_log(run, DEAD_LETTERS).to_pylist()
    assert len({letter["key"] for letter in letters}) == BAD + len(found["odd"])
    expected = {f"bad-{i}": found["values"][i % len(found["values"])][0] for i in range(BAD)}
    expected |= dict.fromkeys(found["odd"], "headers")
    places = {
        f"{TRANSACTIONS}/{row['partition']}/{row['offset']}": row["key"]
        for row in read_log(run, TRANSACTIONS, ["partition", "offset", "key"]).to_pylist()
    }
    for letter in letters:
        assert letter["field"] == expected[places[letter["key"]]], letter
        assert letter["reason"]
