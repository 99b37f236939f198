"""Bad and odd input, by Kafka and by HTTP: named, counted, archived; nothing valid is lost."""

import asyncio
import json
import urllib.error

import pytest
from kafka import KafkaProducer

from fraudsim.archive.log_files import read_log
from fraudsim.log.consumer import existing_partitions
from fraudsim.log.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS
from model.registry.aliases import promote
from model.registry.versions import add_version, change_aliases, folder_of
from producers.sender.log_ends import find_logged_ordinals
from runner.line.options import LineOptions
from stream_features.catalogue.features import NAMES
from testing.rigs.live_line import (
    ask_scorer,
    check_state_equals_log,
    event_now_ms,
    run_line,
    wait_for_decisions,
)
from testing.samples.odd_records import (
    check_markers_passed,
    check_unreadable_archived,
    send_in_transactions,
    send_unreadable_headers,
    transaction_body,
)
from testing.samples.other_model import another_version

pytestmark = pytest.mark.stack
BAD = 200
BY_HTTP = 29


def bad_values(now_ms):
    """Tuples of the field that must be named, the value, and the headers (None: the usual ones)."""

    def as_json(**changes):
        return json.dumps(transaction_body(now_ms, **changes)).encode()

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
        status, reply = ask_scorer(line, value)
        if len(value) > line.settings.http_max_body_bytes:
            assert status == 413
        elif field == "ts" and b"-1" in value:
            assert status == 422
        else:
            assert status in (400, 422), (field, value[:80], reply)
            assert reply["field"] == field, (value[:80], reply)
    try:
        status, reply = ask_scorer(line, b"x" * 5_000_000)
    except (urllib.error.URLError, ConnectionError):
        status = 413  # the server may close the connection before it has read 5 MB
    assert status == 413
    assert ask_scorer(line, None, "/v1/decisions/never-seen")[0] == 404


def decide_by_http(line):
    """The contract of a tx_id: decided once, the same reply when repeated, another body refused."""
    body = {"tx_id": "http-1", "card_id": "c-http", "merchant_id": "m-http", "amount_cents": 4_200}
    status, first = ask_scorer(line, body)
    assert status == 200
    assert first["via"] == "http"
    assert ask_scorer(line, body) == (200, first)
    assert ask_scorer(line, None, "/v1/decisions/http-1") == (200, first)
    status, reply = ask_scorer(line, {**body, "amount_cents": 4_300})
    assert (status, reply["field"]) == (409, "tx_id")
    # A burst: each decision counts all before it, whether they were read back from the log or not.
    for n in range(2, BY_HTTP + 1):
        status, decision = ask_scorer(line, {**body, "tx_id": f"http-{n}", "ts": first["ts"] + n})
        assert status == 200
        assert decision["features"][NAMES.index("card_count_1m")] == n, decision["prefix"]


def refuse_a_corrupt_model(line):
    """A corrupt artefact is refused and the served one stays; the repaired one is served."""
    registry = line.run_dir / "models"
    served = ask_scorer(line, None, "/v1/model")[1]["version"]
    other = add_version(another_version(line.run_dir / "model", line.run_dir / "another"), registry)[
        0
    ].version
    trees = folder_of(registry, other) / "model.ubj"
    intact = trees.read_bytes()
    trees.write_bytes(intact[: len(intact) // 2])
    change_aliases(registry, lambda aliases: promote(aliases, other))
    log = line.supervisor.log("scorer")
    line.wait_for("the refusal", lambda: "model_refused" in log.read_text(), 20)
    assert ask_scorer(line, None, "/v1/model")[1]["version"] == served
    trees.write_bytes(intact)
    line.wait_for("the repaired model", lambda: "model_served" in log.read_text(), 20)
    assert ask_scorer(line, None, "/v1/model")[1]["version"] == other


def send_transactions(line, name, outcomes):
    return asyncio.run(send_in_transactions(line.settings, event_now_ms(line), name, outcomes))


def test_bad_input_is_set_aside_markers_are_passed_and_nothing_valid_is_lost(
    tmp_path, prepared, line_settings
):
    results = {}

    def send_bad_input(line, observer):
        wait_for_decisions(line, observer, 200)
        results["valid"], results["unreadable"] = send_unreadable_headers(line.settings, event_now_ms(line))
        now_ms = event_now_ms(line)
        results["values"] = send_bad_records(line, now_ms)
        refuse_bad_requests(line, now_ms)
        decide_by_http(line)
        refuse_a_corrupt_model(line)
        partitions = existing_partitions(line.settings.kafka_bootstrap, [TRANSACTIONS])
        present = find_logged_ordinals(line.settings, partitions, "odd")
        results["present"] = present[TRANSACTIONS]
        sent = send_transactions(line, "amid", ["commit", "abort", "commit"])
        line.wait_for("the producer", lambda: line.done("producer"), 60)
        # The log ends with markers, for running readers and for a scorer and a worker that start now.
        sent += send_transactions(line, "last", ["commit", "commit"])
        wait_for_decisions(line, observer, line.planned() + len(results["valid"]) + len(sent) + BY_HTTP)
        line.supervisor.stop("scorer")
        line.supervisor.stop("worker")
        line.start_part("worker", "worker")
        line.start_part("scorer", "scorer")
        line.wait_for_ready("worker", "scorer")
        assert ask_scorer(line, {"tx_id": "http", "card_id": "c-http", "amount_cents": 1})[0] == 200
        results["sent"] = sent

    options = LineOptions(tmp_path / "run", seconds=10, rate=150, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, send_bad_input, check_state_equals_log)
    # Records of another source than the line's own count as sent if they have an ordinal.
    assert summary["decided"] == summary["sent"]
    assert (summary["duplicated"], summary["restarts"]) == (0, {})
    assert summary["parity"]["mismatches"] == 0
    run = tmp_path / "run"
    decisions = read_log(run, DECISIONS, ["tx_id", "via"])
    decided = decisions["tx_id"].to_pylist()
    assert len(decided) == len(set(decided)) == summary["parity"]["vectors"]
    assert set(results["valid"]) | set(results["sent"]) <= set(decided)
    assert not set(decided) & set(results["unreadable"])
    assert decisions["via"].to_pylist().count("http") == BY_HTTP + 1
    assert len(results["present"]) == len(results["valid"])
    check_unreadable_archived(run, results["unreadable"])
    check_markers_passed(run)
    assert summary["dead_lettered"] == BAD + len(results["unreadable"])
    letters = read_log(run, DEAD_LETTERS).to_pylist()
    assert len({letter["key"] for letter in letters}) == BAD + len(results["unreadable"])
    expected = {f"bad-{i}": results["values"][i % len(results["values"])][0] for i in range(BAD)}
    expected |= dict.fromkeys(results["unreadable"], "headers")
    key_by_record = {
        f"{TRANSACTIONS}/{row['partition']}/{row['offset']}": row["key"]
        for row in read_log(run, TRANSACTIONS, ["partition", "offset", "key"]).to_pylist()
    }
    for letter in letters:
        assert letter["field"] == expected[key_by_record[letter["key"]]], letter
        assert letter["reason"]
