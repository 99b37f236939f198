"""The surface of the HTTP API: problem documents, limits, the token, the OpenAPI document."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from itertools import count

import hypothesis
import psutil
import pytest
import requests
import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from fraudsim.settings import Settings
from scorer.http.gate import MAX_HEADERS_BYTES
from scorer.http.openapi import OPERATIONS

SERVER = "testing.rigs.served_rig"
TOKEN = "correct horse battery staple"


@contextlib.contextmanager
def served(*settings):
    """(base URL, process) of a server."""
    process = subprocess.Popen([sys.executable, "-m", SERVER, *settings], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def url():
    with served() as (url, _):
        yield url


@pytest.fixture(scope="module")
def guarded():
    with served(f"http_token={TOKEN}") as (url, _):
        yield url


def problem(reply, status, field=None):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json()
    assert document.keys() - {"field"} == {"type", "title", "status", "detail"}
    assert document["status"] == status
    assert document.get("field") == field
    return document


NUMBER = count()
"""Ids that are the same wherever this file is collected."""


def good(**changes):
    return {"tx_id": f"asked-{next(NUMBER)}", "card_id": "c", "amount_cents": 1, **changes}


# Bodies


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "value"),
        (b"{", 400, "value"),
        (b"null", 400, "value"),
        (b"\xff\xfe\x00", 400, "value"),
        (b'{"tx_id": "\xff"}', 400, "value"),
        (b"[" * 16_000, 400, "value"),
        (b'{"a":' * 3_000, 422, "a"),
        (json.dumps(good(amount_cents=float("nan"))).encode(), 400, "value"),
        (json.dumps(good(amount_cents=10**30)).encode(), 422, "amount_cents"),
        (json.dumps(good(amount_cents=1.5)).encode(), 422, "amount_cents"),
        (json.dumps(good(lat=0)).replace('"lat": 0', '"lat": 1e999').encode(), 422, "lat"),
        (json.dumps(good(lat=0)).replace('"lat": 0', '"lat": ' + "9" * 400).encode(), 422, "lat"),
        (json.dumps(good(card_id="\ud800")).encode(), 400, "value"),
        (json.dumps(good(card_id="a\0b")).encode(), 422, "card_id"),
        (json.dumps(good(tx_id=7)).encode(), 422, "tx_id"),
        (json.dumps(good(ts=2**63)).encode(), 422, "ts"),
        (json.dumps(good(ts=5 * 10**12)).encode(), 422, "ts"),
        (b" " * 17_000, 413, "body"),
    ],
)
def test_a_bad_body_is_refused_and_the_field_named(url, body, status, field):
    problem(requests.post(f"{url}/v1/score", body), status, field)


def test_the_body_is_json_whatever_the_content_type_says(url):
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "x", ""):
        body = json.dumps(good()).encode()
        reply = requests.post(f"{url}/v1/score", body, headers={"content-type": kind})
        assert reply.status_code == 200
    squeezed = requests.post(f"{url}/v1/score", b"x", headers={"content-encoding": "gzip"})
    problem(squeezed, 415, "content-encoding")


def doubled(text, key, value):
    """The JSON object with a key that stands twice."""
    return text[:-1].encode() + b", " + json.dumps(key).encode() + b": " + json.dumps(value).encode() + b"}"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (json.dumps(good(amount_cent=1)).encode(), "amount_cent"),
        (json.dumps(good(nested={"a": 1})).encode(), "nested"),
        (doubled(json.dumps(good()), "amount_cents", 2), "amount_cents"),
        (doubled(json.dumps(good(card_id="a:b")), "tx_id", "x"), "tx_id"),
        (doubled(json.dumps(good()), "tx_id", "x").replace(b', "tx_id', b', "tx\\u005fid'), "tx_id"),
        (json.dumps(good(ip="10.0.0")).encode(), "ip"),
        (json.dumps(good(ip="localhost")).encode(), "ip"),
        (json.dumps(good(ip="10.0.0.256")).encode(), "ip"),
    ],
)
def test_what_is_misspelt_doubled_or_no_address_is_refused_and_named(url, body, field):
    problem(requests.post(f"{url}/v1/score", body), 422, field)
    item = body.decode()
    reply = requests.post(f"{url}/v1/score/batch", f'{{"transactions": [{item}, {json.dumps(good())}]}}')
    refused, decided = reply.json()["results"]
    assert (refused["status"], refused["problem"]["field"], decided["status"]) == (422, field, 200)


def test_colons_within_values_and_addresses_of_either_kind_are_taken(url):
    for ip in ("10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"):
        body = json.dumps(good(card_id="a:b::c", ip=ip)).encode()
        assert requests.post(f"{url}/v1/score", body).status_code == 200


def test_a_batch_with_an_unknown_or_second_field_is_refused(url):
    text = json.dumps({"transactions": [good()]})
    problem(requests.post(f"{url}/v1/score/batch", text[:-1] + ', "budget": 1}'), 422, "budget")
    problem(requests.post(f"{url}/v1/score/batch", text[:-1] + ', "transactions": []}'), 422, "transactions")


def test_a_decision_that_is_not_kept_says_why(url):
    document = problem(requests.get(f"{url}/v1/decisions/of-the-stream"), 404, "tx_id")
    assert "the topic decisions" in document["detail"]
    described = requests.get(f"{url}/v1/openapi.json").json()["paths"]["/v1/decisions/{tx_id}"]["get"]
    assert "stream" in described["summary"]


# Other sites


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({}, 200, None),
        ({"host": "localhost"}, 200, None),
        ({"host": "[::1]:8000"}, 200, None),
        ({"host": "evil.example"}, 421, "host"),
        ({"host": "127.0.0.1.evil.example:8000"}, 421, "host"),
        ({"sec-fetch-site": "none"}, 200, None),
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:1"}, 200, None),
        ({"sec-fetch-site": "cross-site"}, 403, "sec-fetch-site"),
        ({"sec-fetch-site": "same-site"}, 403, "sec-fetch-site"),
        ({"origin": "http://evil.example"}, 403, "origin"),
        ({"origin": "null"}, 403, "origin"),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, 200, None),
        ({"host": "localhost:8000", "origin": "http://localhost:3000"}, 403, "origin"),
        ({"content-type": "application/x-www-form-urlencoded", "user-agent": "curl/8.5.0"}, 200, None),
    ],
)
def test_pages_of_other_sites_and_names_that_are_not_ours_are_refused(url, headers, status, field):
    for path, body in (("/v1/score", good()), ("/v1/score/batch", {"transactions": [good()]})):
        reply = requests.post(url + path, json.dumps(body).encode(), headers=headers)
        if status == 200:
            assert reply.status_code == 200, reply.text
        else:
            problem(reply, status, field)


def test_the_health_may_be_asked_by_any_name_and_reading_from_any_page(url):
    assert requests.get(f"{url}/healthz", headers={"host": "10.1.2.3"}).status_code == 200
    assert requests.get(f"{url}/v1/model", headers={"sec-fetch-site": "cross-site"}).status_code == 200
    problem(requests.get(f"{url}/v1/model", headers={"host": "10.1.2.3"}), 421, "host")


def test_the_setting_names_the_hosts():
    with served("http_hosts=scorer, Scorer.internal") as (url, _):
        for host, status in (("scorer:8000", 200), ("scorer.internal", 200), ("localhost", 421)):
            assert requests.get(f"{url}/v1/model", headers={"host": host}).status_code == status


# Paths, methods, heads


def test_a_wrong_path_or_method_is_a_problem_too(url):
    for path in (
        "/",
        "/v1",
        "/v1/score/",
        "/v2/score",
        "/v1/decisions/",
        "/v1/decisions/a/b",
        "/%00",
        "/%ff",
    ):
        problem(requests.get(url + path), 404, "url")
    for method, path, allowed in (
        ("GET", "/v1/score", "POST"),
        ("DELETE", "/v1/score/batch", "POST"),
        ("POST", "/v1/model", "GET, HEAD"),
        ("PUT", "/readyz", "GET, HEAD"),
        ("PATCH", "/v1/decisions/x", "GET, HEAD"),
    ):
        reply = requests.request(method, url + path)
        problem(reply, 405, "method")
        assert {word.strip() for word in reply.headers["allow"].split(",")} == set(allowed.split(", "))


def test_urls_and_headers_are_bounded(url):
    problem(requests.get(f"{url}/v1/decisions/{'x' * 3_000}"), 414, "url")
    problem(requests.get(f"{url}/v1/model?{'x' * 3_000}"), 414, "url")
    many = {f"x-{n}": "y" * 1_000 for n in range(MAX_HEADERS_BYTES // 1_000 + 1)}
    problem(requests.get(f"{url}/v1/model", headers=many), 431, "headers")


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nx: ", b"GET / HTTP/1.1\r\n"])
def test_a_head_without_an_end_is_hung_up_on(url, start):
    host, port = url.removeprefix("http://").split(":")
    line = b"a" if not start.endswith(b"\r\n") else b"a: b\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(start)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 10_000_000:
                connection.sendall(line * 1_000)
                sent += 1_000 * len(line)
        assert sent < 5_000_000
    assert requests.get(f"{url}/healthz").status_code == 200


def test_what_is_no_http_at_all_does_no_harm(url):
    host, port = url.removeprefix("http://").split(":")
    for noise in (
        b"\0" * 100,
        os.urandom(1_000),
        b"GET \xff\xfe HTTP/1.1\r\n\r\n",
        b"POST /v1/score HTTP/9\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(noise + b"\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 4")


# The token


def test_without_the_token_only_the_health_is_served(guarded):
    for op in OPERATIONS:
        reply = requests.request(op.method, guarded + op.path)
        if op.token:
            problem(reply, 401, "authorization")
            assert reply.headers["www-authenticate"] == "Bearer"
        else:
            assert reply.status_code == 200
    problem(requests.get(f"{guarded}/v1/nothing"), 401, "authorization")


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (b"Bearer \xff\xfe", 401),
    ],
)
def test_only_the_token_opens(guarded, value, status):
    reply = requests.get(f"{guarded}/v1/model", headers={"authorization": value})
    assert reply.status_code == status
    assert TOKEN not in reply.text


def test_the_token_is_not_shown_by_whatever_shows_settings():
    settings = Settings(_env_file=None, http_token=TOKEN)
    assert TOKEN not in f"{settings!r} {settings} {settings.http_token} {settings.model_dump()}"


# The description, and whatever follows from it


def test_the_description_names_every_status_and_no_schema_that_is_not_there(url):
    document = requests.get(f"{url}/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for op in OPERATIONS:
        responses = document["paths"][op.path][op.method]["responses"]
        assert {"200", "405", "414", "415", "431", "500"} <= responses.keys()
        assert ("401" in responses) == op.token
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]


# What the description allows may still be refused: a `ts` out of time, or 1.0 for an integer.
UNCHECKED = [positive_data_acceptance]
IN_A_BATCH = [*UNCHECKED, negative_data_rejection]  # each item is refused on its own, the batch is not


def fuzz(url, seconds, at_least=100):
    """Ask what the description allows and what it does not allow, for a time, and so often at least."""
    schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json")
    operations = [operation.ok() for operation in schema.get_all_operations()]
    cases_run = 0
    until = time.monotonic() + seconds

    def more():
        return cases_run < at_least or time.monotonic() < until

    while more():
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
                @hypothesis.settings(
                    max_examples=12 if operation.body else 3,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(hypothesis.HealthCheck),
                    phases=[hypothesis.Phase.generate],
                )
                def ask(case):
                    nonlocal cases_run
                    cases_run += 1
                    unchecked = IN_A_BATCH if case.path.endswith("batch") else UNCHECKED
                    reply = case.call_and_validate(base_url=url, excluded_checks=unchecked)
                    assert reply.status_code < 500

                with contextlib.suppress(hypothesis.errors.Unsatisfiable):
                    ask()
                if not more():
                    break


def test_nothing_that_the_description_allows_or_forbids_is_a_failure(url):
    fuzz(url, 8)


@pytest.mark.long
def test_five_minutes_of_anything_and_no_memory_is_lost():
    with served() as (url, process):
        fuzz(url, 60)
        before = psutil.Process(process.pid).memory_info().rss
        fuzz(url, 240)
        assert psutil.Process(process.pid).memory_info().rss - before < 20 * 2**20
