"""The page over plain HTTP: what is served, the stream, who is refused, and what is hidden."""

import json
import re
import socket
import time
from contextlib import ExitStack

import pytest

from dashboards.page.broadcast import CLIENTS
from dashboards.page.diagram import TALL, WIDE
from fraudsim.polling import poll_until
from runner.line.parts import PARTS
from tests.dashboards.page.served_page import (
    KEY,
    Readings,
    add,
    decision,
    label,
    record,
    served,
    state_of,
    transaction,
    truth,
)

EVIL = "<script>alert(1)</script>"
SECRETS = ("card_testing", "campaign-1")


@pytest.fixture(scope="module")
def page():
    state = state_of(
        *(transaction(n) for n in range(4)),
        *(decision(n, action=action) for n, action in enumerate(["approve", "decline", "step_up"])),
        truth(0), truth(1), label(0),
    )  # fmt: skip
    with served(state) as client:
        yield client


def figures_in(html):
    """(value, text) of every figure, by name; the diagrams have the texts only."""
    pattern = r'<(?:data|tspan) data-figure="(\w+)"(?: value="([^"]*)")?>([^<]*)<'
    figures = {}
    for name, value, text in re.findall(pattern, html):
        before = figures.setdefault(name, (value, text))
        figures[name] = (before[0] or value, text)
        assert before[1] == text, "a figure that stands twice says the same"
    return figures


def test_the_numbers_stand_in_the_html_as_served(page):
    figures = figures_in(page.get("/").body)
    assert figures["decided"] == ("3", "3")
    assert figures["sent"] == ("4", "4")
    assert figures["lost"] == ("0", "0")
    assert figures["waiting"] == ("1", "1")
    assert figures["decline"] == ("1", "1")
    assert float(figures["p99_ms"][0]) == pytest.approx(20, abs=0.3)
    assert figures["fraud_paid_cents"][0] == "10000", "one fraud was paid, and the declined one cost nothing"
    assert figures["net_loss_cents"][0] == "10010", "and a customer was asked"
    assert {"rate", "p99_ms", "lost", "decided", "net_loss_cents"} <= figures.keys()


def test_the_stream_says_the_same_and_goes_on(page):
    html = figures_in(page.get("/").body)
    with page.events() as (status, events):
        assert status == 200
        seen = [next(events) for _ in range(4)]
        add(page.feed.state, decision(3))
        assert any(event["figures"]["decided"][0] == 4 for name, event in events if name == "snapshot")
    assert {name for name, _ in seen} == {"snapshot", "series"}
    first = seen[0][1]["figures"]
    still = {"decided", "sent", "lost", "p99_ms", "net_loss_cents", "worker_lag", "approve"}
    assert {name: first[name][1] for name in still} == {name: html[name][1] for name in still}


def test_every_box_of_the_diagrams_is_a_part_or_a_store_and_each_part_is_drawn():
    drawn = {box.name for box in WIDE.boxes}
    assert drawn == {box.name for box in TALL.boxes}
    not_drawn = {"page", "watch", "lagged", "drift", "retrainer"}
    assert drawn == {part.name for part in PARTS} - not_drawn | {"kafka", "redis"}


def test_a_decision_opens_with_what_led_to_it_the_card_s_hour_and_its_prefix(page):
    content = json.loads(page.get("/decisions/t1").body)
    assert content["decision"]["prefix"] == {
        "slots": {},
        "tail_from": [],
        "tail_to": [],
        "pending": [],
        "labels_to": [],
    }
    assert [payment["tx_id"] for payment in content["card_hour"]] == ["t1"]
    assert content["fraud"] == {"typology": "card_testing", "campaign": "campaign-1"}
    assert page.get("/decisions/none").status == 404


# Truth


def test_truth_off_hides_every_truth(page):
    bodies = [
        page.get(path).body for path in ("/?truth=off", "/decisions/t0?truth=off", "/decisions/t1?truth=off")
    ]
    with page.events("off") as (_, events):
        bodies += [json.dumps(next(events)[1]) for _ in range(3)]
    text = "".join(bodies)
    assert not [secret for secret in SECRETS if secret in text]
    figures = figures_in(bodies[0])
    assert figures["insult_cents"] == figures["true_frauds"] == ("", "only the simulation knows")
    assert figures["fraud_paid_cents"][0] == "10000", "the label says so"
    assert all(secret in page.get("/decisions/t0").body for secret in SECRETS)


def test_what_is_known_of_frauds_does_not_change_a_word_of_it_with_truth_off():
    rows = [transaction(0), decision(0, action="review"), decision(1, action="step_up"), label(1)]
    texts = []
    for state in (state_of(*rows), state_of(*rows, truth(0))):
        with served(state) as client, client.events("off") as (_, events):
            name, event = next(events)
            assert name == "snapshot"
            event["figures"] = {n: f for n, f in event["figures"].items() if n not in ("rate", "event_time")}
            texts.append(json.dumps(event))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("truth", ["on", "off"])
def test_calibration_has_frauds_with_the_truth_alone_and_models_that_have_decided_are_named(page, truth):
    with page.events(truth) as (_, events):
        snapshot = next(event for name, event in events if name == "snapshot")
    assert {"frauds" in band for band in snapshot["calibration"]} == {truth == "on"}
    assert {(model["version"], model["role"]) for model in snapshot["models"]} == {("m", "")}


def test_a_page_without_truth_gives_none_whoever_asks():
    with served(state_of(decision(0), truth(0)), with_truth=False) as client:
        with client.events("on") as (_, events):
            event = next(events)[1]
        text = client.get("/?truth=on").body + client.get("/decisions/t0?truth=on").body + json.dumps(event)
    assert event["truth"] is False
    assert not [secret for secret in SECRETS if secret in text]


# What the log says is data


def test_a_script_in_every_string_of_the_log_stays_text():
    fields = dict.fromkeys(
        ("tx_id", "card_id", "model_version", "policy_version", "variant", "merchant_id"), EVIL
    )
    evil = decision(0, reasons=[EVIL], rule_hits=[EVIL], held_back=[EVIL], action="decline", **fields)
    rows = [evil, truth(0, typology=EVIL, campaign=EVIL, tx_id=EVIL), record("labels", 0, b'"<script>"')]
    with served(state_of(*rows), problem=EVIL) as client:
        html = client.get("/").body
        with client.events() as (_, events):
            event = next(events)[1]
        opened = client.get("/decisions/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html, "it is shown, as text"
    assert event["decisions"][0]["card"] == EVIL, "as it is, in JSON"
    assert opened.status == 404, "the path of a tx_id has no slash"
    assert opened.headers["content-type"].startswith("text/plain")


# Who may read


@pytest.mark.parametrize("path", ["/", "/events", "/decisions/t0", "/static/main.js"])
def test_without_the_address_s_key_nothing_is_read(page, path):
    assert page.get(path, key="").status == 401
    assert page.get(path, key="wrong").status == 401
    assert page.get(path, key="", Cookie="fraudsim_page_00000000=k3y; other=1").status == 401
    assert "fraudsim up" in page.get("/", key="").body


def test_the_address_gives_a_cookie_by_which_a_browser_reads_on(page):
    cookie = page.get("/").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}
    assert page.get("/decisions/t0", key="", Cookie=cookie.split(";")[0]).status == 200
    assert "set-cookie" not in page.get("/", key="wrong").headers


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Origin": "http://evil.example"}, "/", 403),
        ({"Origin": "http://evil.example"}, "/events", 403),
        ({"Origin": "null"}, "/events", 403),
        ({"Sec_Fetch_Site": "cross-site"}, "/events", 403),
        ({"Sec_Fetch_Site": "same-site"}, "/decisions/t0", 403),
        ({"Sec_Fetch_Site": "cross-site"}, "/", 200),  # a link, which must have the key
        ({"Sec_Fetch_Site": "same-origin"}, "/decisions/t0", 200),
        ({"Host": "evil.example"}, "/", 421),
        ({"Host": "evil.example"}, "/events", 421),
    ],
)
def test_another_site_s_page_reads_nothing(page, headers, path, status):
    reply = page.get(path, **headers)
    assert reply.status == status
    if status == 421:
        assert "FRAUDSIM_PAGE_HOSTS" in reply.body


def test_it_only_reads(page):
    assert {page.get("/", method=method).status for method in ("POST", "PUT", "DELETE")} == {405}


def test_a_browser_may_load_nothing_from_elsewhere(page):
    headers = page.get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", page.get("/").body)


# Clients


def test_ten_read_and_the_eleventh_is_told():
    with served(state_of(decision(0))) as client, ExitStack() as stack:
        for _ in range(CLIENTS):
            status, events = stack.enter_context(client.events())
            assert (status, next(events)[0]) == (200, "snapshot")
        reply = client.get("/events")
        assert (reply.status, reply.body) == (503, "10 browsers read the page already")
        stack.close()
        assert poll_until(lambda: len(client.page.broadcast) == 0, 20, every_s=0.1)
        with client.events() as (status, _):
            assert status == 200


def test_a_client_that_takes_nothing_keeps_nobody_waiting_and_one_update_of_each_kind():
    with (
        served(state_of(*(decision(n) for n in range(50)))) as client,
        socket.create_connection(("127.0.0.1", client.port)) as slow,
        client.events() as (_, events),
    ):
        slow.sendall(f"GET /events?key={KEY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        started_s = time.monotonic()
        for _ in range(8):
            next(events)
        assert time.monotonic() - started_s < 10
        queues = [len(other.untaken) for other in client.page.broadcast._clients]
        assert len(queues) == 2
        assert max(queues) <= 2


# Where there is nothing to show


def test_without_a_log_it_says_so_where_the_numbers_would_be():
    with served(None, problem="no Kafka answers there", readings=Readings(worker="down")) as client:
        figures, html = figures_in(client.get("/").body), client.get("/").body
    assert figures["rate"] == figures["lost"] == figures["net_loss_cents"] == ("", "no log yet")
    assert figures["worker_status"] == ("", "down")
    assert "no Kafka answers there" in html
    assert 'data-box="worker" data-status="down"' in html


def test_a_clock_that_stands_still_and_a_redis_that_is_away_are_named():
    from testing.samples.log import make_segment

    state = state_of()
    readings = Readings()
    readings.redis_problem = "no answer: connection refused"
    state.clock.add(SimpleSegment(make_segment(number=1, speed=0.0)))
    with served(state, readings=readings) as client:
        figures = figures_in(client.get("/").body)
    assert figures["event_time"] == ("", "the clock stands still")
    assert figures["redis_status"] == ("", "away: no answer: connection refused")


class SimpleSegment:
    def __init__(self, segment):
        self.segment, self.broker_ts_ms = segment, 0
